import Fleet
import Glibc

/// The configuration as a command finds it: file, environment and what came of them.
struct ConfigurationSource {
    /// The file, nil where the environment stands alone.
    var file: String?
    /// The file's text.
    var text: String?
    /// The environment.
    var environment: [String: String]
    /// Where state and sockets are.
    var directories: Directories
    /// The configuration; nil when there are errors.
    var configuration: Configuration?
    /// Every problem.
    var problems: [CheckProblem]

    /// Reads file and environment; throws exit 2 where the file cannot be read.
    static func load(option: String?) throws -> ConfigurationSource {
        // Configuration loader: `ConfigurationLoader.load(…)` belongs here.
        throw CommandFailure(status: .failed, message: "this build has no configuration loader")
    }
}
