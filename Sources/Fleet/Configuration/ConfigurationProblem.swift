/// One thing that is wrong with a configuration, with its place.
///
/// Its description is `file:line:column: path: message`, with `warning: ` before a warning's message. What came from
/// the environment has the file `(environment)`, what came from the command line `(command line)`; both have the
/// place 0:0, so that every line has the same form. A secret's value is never in a message.
public struct ConfigurationProblem: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// Whether it can be run with.
    public var severity: Severity
    /// The file as it was named, `(environment)` or `(command line)`.
    public var file: String
    /// The line, from 1; 0 outside of files.
    public var line: Int
    /// The column in Unicode scalars, from 1; 0 outside of files.
    public var column: Int
    /// The key's path, such as `providers.chat.gpus`; the variable's name where it came from the environment.
    public var path: String
    /// What is wrong and what to do.
    public var message: String

    /// A problem.
    public init(severity: Severity, file: String, line: Int, column: Int, path: String, message: String) {
        self.severity = severity
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.message = message
    }

    /// A file that could not be read, for who reads it before loading.
    public static func unreadable(file: String, reason: String) -> ConfigurationProblem {
        ConfigurationProblem(
            severity: .error, file: file, line: 0, column: 0, path: "(document)",
            message:
                "cannot be read (\(reason)): name another file with --config or STOKER_CONFIG, or let the daemon's "
                + "user read it")
    }

    /// The place of what came from the environment.
    public static let environment = "(environment)"
    /// The place of what came from the command line.
    public static let commandLine = "(command line)"

    /// `file:line:column: path: message`
    public var description: String {
        "\(file):\(line):\(column): \(path): \(severity == .warning ? "warning: " : "")\(message)"
    }

    /// Whether a configuration with such a problem can be run.
    public enum Severity: String, Sendable, Hashable, Codable, CaseIterable {
        /// It cannot: there is no configuration.
        case error
        /// It can, but probably not as it was meant.
        case warning
    }
}
