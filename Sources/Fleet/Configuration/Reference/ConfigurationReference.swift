/// Every key that a configuration can have: the one table that the parser's checks, the environment variables and the
/// reference page come from.
public enum ConfigurationReference {
    /// The keys, in the order of the reference page.
    public static let keys: [KeyDescription] = daemonKeys + healthKeys + gatewayKeys + providerKeys + launchKeys

    /// The key of a path; the name of a provider in it is found by the `*` of the table.
    public static func key(at path: String) -> KeyDescription? { index[pattern(of: path)] }

    /// Whether keys lie below a path: `health`, `providers`, `providers.chat`, `providers.chat.restart`.
    public static func isSection(_ path: String) -> Bool { sections.contains(pattern(of: path)) }

    /// The names that may stand below a path; empty below `providers`, where any name may.
    static func names(below path: String) -> [String] {
        let prefix = path.isEmpty ? "" : pattern(of: path) + "."
        var names: [String] = []
        for key in keys where key.path.hasPrefix(prefix) {
            let name = String(key.path.dropFirst(prefix.count).prefix { $0 != "." })
            if name != "*", !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// The keys by the environment variable that sets them.
    static let variables: [String: KeyDescription] = {
        var variables: [String: KeyDescription] = [:]
        for key in keys {
            if let variable = key.environmentVariable { variables[variable] = key }
        }
        return variables
    }()

    /// `providers.chat.gpus` as `providers.*.gpus`.
    static func pattern(of path: String) -> String {
        guard path.hasPrefix("providers.") else { return path }
        let rest = path.dropFirst("providers.".count)
        guard let dot = rest.firstIndex(of: ".") else { return "providers.*" }
        return "providers.*\(rest[dot...])"
    }

    private static let index: [String: KeyDescription] = {
        var index: [String: KeyDescription] = [:]
        for key in keys { index[key.path] = key }
        return index
    }()

    private static let sections: Set<String> = {
        var sections: Set<String> = []
        for key in keys {
            var path = Substring(key.path)
            while let dot = path.lastIndex(of: ".") {
                path = path[..<dot]
                sections.insert(String(path))
            }
        }
        return sections
    }()
}
