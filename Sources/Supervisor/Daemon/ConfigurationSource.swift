import Fleet
import FoundationEssentials
import Glibc

/// Loads the configuration from where the daemon was told, again at every reload.
struct ConfigurationSource: Sendable {
    let options: Daemon.Options
    let directories: Directories

    /// The configuration, nil if any problem is an error, and every problem.
    func load() -> (configuration: Configuration?, problems: [ConfigurationProblem]) {
        let file = ConfigurationLoader.file(option: options.configurationPath, environment: options.environment) {
            access($0, F_OK) == 0
        }
        var yaml: (path: String, text: String)?
        if let file {
            do {
                yaml = (file, try String(contentsOfFile: file, encoding: .utf8))
            } catch {
                let problem = ConfigurationProblem(
                    severity: .error, file: file, line: 1, column: 1, path: "(file)",
                    message: "cannot be read as UTF-8 text: check that it exists and its permissions")
                return (nil, [problem])
            }
        }
        return load(yaml: yaml, environment: options.environment)
    }

    /// A configuration of a text alone, as ``load()`` reads it: no environment, the same rules.
    func load(text: String, as name: String) -> (configuration: Configuration?, problems: [ConfigurationProblem]) {
        load(yaml: (name, text), environment: [:])
    }

    private func load(
        yaml: (path: String, text: String)?, environment: [String: String]
    ) -> (configuration: Configuration?, problems: [ConfigurationProblem]) {
        ConfigurationLoader.load(
            ConfigurationInputs(
                yaml: yaml, environment: environment,
                readFile: { try String(contentsOfFile: $0, encoding: .utf8) },
                credentialsDirectory: options.environment["CREDENTIALS_DIRECTORY"], directories: directories))
    }
}
