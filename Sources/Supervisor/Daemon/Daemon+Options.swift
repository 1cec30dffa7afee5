import Fleet

extension Daemon {
    /// What the command line gives the daemon.
    public struct Options: Sendable {
        /// `--config`; nil for `$STOKER_CONFIG`, then `/etc/stoker/stoker.yaml` if it is there, then the environment alone.
        public var configurationPath: String?
        /// The process's environment.
        public var environment: [String: String]
        /// Our own program, and where a later build of it is put.
        public var executable: ExecutableFile
        /// As this process was started: whoever takes its place is started alike.
        public var arguments: [String]
        /// As `stoker version` prints it.
        public var version: String

        /// Options.
        public init(
            configurationPath: String?, environment: [String: String], executable: ExecutableFile, arguments: [String],
            version: String
        ) {
            self.configurationPath = configurationPath
            self.environment = environment
            self.executable = executable
            self.arguments = arguments
            self.version = version
        }
    }
}
