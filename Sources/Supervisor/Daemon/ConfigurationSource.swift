import Fleet
import FoundationEssentials
import Glibc

/// Where a configuration comes from: the file that was named or is found, and the environment. Read anew at every load.
public struct ConfigurationSource: Sendable {
    /// The environment that is read beside the file.
    public let environment: [String: String]
    /// Where state and sockets are.
    public let directories: Directories
    /// `--config`
    let option: String?

    /// What came of reading a configuration.
    public struct Loaded: Sendable {
        /// The file, nil where the environment stands alone.
        public var file: String?
        /// The file's text.
        public var text: String?
        /// The configuration; nil when a problem is an error.
        public var configuration: Configuration?
        /// Every problem.
        public var problems: [ConfigurationProblem]
        /// The files that keys were read from, by the path that names each.
        public var keyFiles: [String: String] = [:]
        /// What those files hold, by their own paths; credentials are not among them.
        var keys: [String: String] = [:]
    }

    /// A source.
    ///
    /// - Parameters:
    ///   - option: `--config`; nil for `$STOKER_CONFIG`, then `/etc/stoker/stoker.yaml` if it is there, then the
    ///     environment alone.
    ///   - environment: The process's environment.
    public init(option: String?, environment: [String: String]) {
        self.option = option
        self.environment = environment
        directories = Directories(environment: environment, isRoot: geteuid() == 0)
    }

    /// Reads file and environment.
    public func load() -> Loaded {
        let file = ConfigurationLoader.file(option: option, environment: environment) { access($0, F_OK) == 0 }
        guard let file else { return load(file: nil, text: nil, environment: environment) }
        do {
            return load(file: file, text: try Self.read(file), environment: environment)
        } catch {
            return Loaded(file: file, problems: [.unreadable(file: file, reason: error.description)])
        }
    }

    /// Why a file cannot be read, in a person's words.
    private struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    private static func read(_ file: String) throws(Unreadable) -> String {
        do {
            return try String(contentsOfFile: file, encoding: .utf8)
        } catch {
            var info = stat()
            if stat(file, &info) == 0, info.st_mode & S_IFMT != S_IFREG {
                throw Unreadable(description: "it is no ordinary file")
            }
            throw Unreadable(
                description: access(file, R_OK) == 0 ? "it is not UTF-8 text" : String(cString: strerror(errno)))
        }
    }

    /// Reads a text in the file's place, with the environment; what is given of keys' files is not read again.
    func load(instead text: String, from path: String, keys: [String: String] = [:]) -> Loaded {
        load(file: path, text: text, environment: environment, keys: keys)
    }

    /// Reads the environment alone.
    func loadEnvironment() -> Loaded { load(file: nil, text: nil, environment: environment) }

    /// Reads a text alone, by the same rules: no environment.
    func load(text: String, as name: String) -> Loaded { load(file: name, text: text, environment: [:]) }

    private func load(
        file: String?, text: String?, environment: [String: String], keys known: [String: String] = [:]
    ) -> Loaded {
        var yaml: (path: String, text: String)?
        if let file, let text { yaml = (file, text) }
        var inputs = ConfigurationInputs(
            yaml: yaml, environment: environment,
            readFile: { path in if let text = known[path] { text } else { try Self.read(path) } },
            credentialsDirectory: environment["CREDENTIALS_DIRECTORY"], directories: directories)
        var keyFiles: [String: String] = [:]
        inputs.keyFileSeen = { keyFiles[$0] = $1 }
        let (configuration, problems) = ConfigurationLoader.load(inputs)
        var loaded = Loaded(
            file: file, text: text, configuration: configuration, problems: problems, keyFiles: keyFiles)
        let credentials = environment["CREDENTIALS_DIRECTORY"].map { "\($0)/" }
        for path in keyFiles.values where credentials.map({ !path.hasPrefix($0) }) ?? true {
            loaded.keys[path] = known[path] ?? (try? Self.read(path))
        }
        return loaded
    }
}
