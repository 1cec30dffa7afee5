import Fleet

/// A file that is not there.
struct NoSuchFile: Error, CustomStringConvertible {
    var description: String { "No such file or directory" }
}

/// What a loading gave.
struct Loaded {
    var configuration: Configuration?
    var problems: [ConfigurationProblem]

    var lines: [String] { problems.map(\.description) }
    var errors: [ConfigurationProblem] { problems.filter { $0.severity == .error } }
    var warnings: [ConfigurationProblem] { problems.filter { $0.severity == .warning } }

    func provider(_ name: String) -> ProviderConfiguration? {
        configuration?.providers.first { $0.name == name }
    }

    func attached(_ name: String) -> AttachConfiguration? {
        guard case .attached(let attach)? = provider(name)?.source else { return nil }
        return attach
    }

    func launched(_ name: String) -> LaunchConfiguration? {
        guard case .launched(let launch)? = provider(name)?.source else { return nil }
        return launch
    }
}

/// Loads a configuration from a file `stoker.yaml` with this text, and from files and credentials in memory.
func load(
    _ yaml: String? = nil, environment: [String: String] = [:], overrides: [String: String] = [:],
    files: [String: String] = [:], credentials: String? = nil, runtime: String = "/run/stoker"
) -> Loaded {
    let inputs = ConfigurationInputs(
        yaml: yaml.map { ("stoker.yaml", $0) }, environment: environment, overrides: overrides,
        readFile: { path throws in
            guard let text = files[path] else { throw NoSuchFile() }
            return text
        },
        credentialsDirectory: credentials, directories: Directories(state: "/var/lib/stoker", runtime: runtime))
    let (configuration, problems) = ConfigurationLoader.load(inputs)
    return Loaded(configuration: configuration, problems: problems)
}
