/// Makes a configuration of a YAML file, the environment and the command line.
///
/// Precedence, the later wins: built-in, systemd credentials, YAML, environment, command line. Loading is pure apart
/// from ``ConfigurationInputs/readFile``, never throws, and reports every problem that it can see at once. What only
/// the machine can tell (whether vLLM is found, ports are free, GPUs exist) is for the preflight.
///
/// | source | names |
/// |---|---|
/// | YAML | ``ConfigurationReference/keys`` |
/// | environment, every key but providers' | `STOKER_` and the path: `STOKER_HEALTH_INTERVAL` |
/// | environment, attached providers | `VLLM_[SUFFIX_]BASE_URL`, `_API_KEY`, `_MODELS` |
/// | environment, the guide's older name | `GOMODEL_MASTER_KEY` |
/// | command line | paths of keys |
/// | systemd credentials | `master_key`, `admin_token`, `<provider>_api_key` |
public enum ConfigurationLoader {
    /// Where the configuration file is looked for when none is named.
    public static let defaultFile = "/etc/stoker/stoker.yaml"

    /// The configuration file to read: the option's, else `STOKER_CONFIG`'s, else ``defaultFile`` if it exists, else
    /// none: the environment alone.
    public static func file(
        option: String?, environment: [String: String], exists: (String) -> Bool
    ) -> String? {
        if let option { return option }
        if let variable = environment["STOKER_CONFIG"], !variable.isEmpty { return variable }
        return exists(defaultFile) ? defaultFile : nil
    }

    /// The configuration, nil if any problem is an error, and every problem: those of the file in order of place, then
    /// those of the environment by name, then those of the command line.
    public static func load(
        _ inputs: ConfigurationInputs
    ) -> (configuration: Configuration?, problems: [ConfigurationProblem]) {
        var reading = ConfigurationReading(inputs: inputs)
        reading.readYAML()
        reading.readEnvironment()
        reading.readOverrides()
        let configuration = reading.build()
        let problems = reading.sortedProblems
        let failed = problems.contains { $0.severity == .error }
        return (failed ? nil : configuration, problems)
    }
}
