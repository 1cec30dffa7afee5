/// Everything a configuration is made from. The loader asks for nothing else: no clock, no file system, no process.
public struct ConfigurationInputs {
    /// The configuration file: its path as it is to be shown in problems, and its text.
    public var yaml: (path: String, text: String)?
    /// The process's environment.
    public var environment: [String: String]
    /// Command line options by the path of the key that they set, such as `listen` or `health.interval`; lists are
    /// separated by commas.
    public var overrides: [String: String]
    /// Reads a key's file or a credential. What it throws is shown in the problem.
    public var readFile: (String) throws -> String
    /// Told of each key that is read from a file of its own: the configuration's path that names it, and the file.
    public var keyFileSeen: (_ path: String, _ file: String) -> Void = { _, _ in }
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    public var credentialsDirectory: String?
    /// Where state and sockets are to be.
    public var directories: Directories

    /// The inputs of one loading.
    public init(
        yaml: (path: String, text: String)? = nil, environment: [String: String] = [:],
        overrides: [String: String] = [:], readFile: @escaping (String) throws -> String,
        credentialsDirectory: String? = nil,
        directories: Directories = Directories(state: "/var/lib/stoker", runtime: "/run/stoker")
    ) {
        self.yaml = yaml
        self.environment = environment
        self.overrides = overrides
        self.readFile = readFile
        self.credentialsDirectory = credentialsDirectory
        self.directories = directories
    }
}
