/// `${VAR}` and `${VAR:-default}` in YAML strings.
enum VariableExpansion {
    /// The text with its variables replaced: `${VAR}`, `${VAR:-default}` (the default where VAR is unset or empty), `$$`
    /// for one `$`. A `$` before anything else stands for itself.
    ///
    /// - Parameters:
    ///   - text: The text as it was written.
    ///   - environment: The variables.
    ///   - used: Takes the names of the variables that were asked for.
    static func expand(
        _ text: String, environment: [String: String], used: inout Set<String>
    ) throws(ConfigurationValueError) -> String {
        guard text.contains("$") else { return text }
        var result = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "$" {
                result += "$"
                rest = rest.dropFirst()
                continue
            }
            guard rest.first == "{" else {
                result += "$"
                continue
            }
            guard let close = rest.firstIndex(of: "}") else {
                throw ConfigurationValueError("${ without its }; for a literal $ write $$", showsValue: false)
            }
            let body = rest[rest.index(after: rest.startIndex)..<close]
            rest = rest[rest.index(after: close)...]
            result += try value(of: body, environment: environment, used: &used)
        }
        return result + rest
    }

    private static func value(
        of body: Substring, environment: [String: String], used: inout Set<String>
    ) throws(ConfigurationValueError) -> String {
        let name = body.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        guard let first = name.first, !first.isNumber else {
            throw ConfigurationValueError(
                "between ${ and } stands a variable's name, then perhaps :-default", showsValue: false)
        }
        used.insert(String(name))
        let after = body.dropFirst(name.count)
        if after.isEmpty {
            guard let value = environment[String(name)] else {
                throw ConfigurationValueError(
                    "the environment variable \(name) is not set: set it, or write ${\(name):-default}",
                    showsValue: false)
            }
            return value
        }
        guard after.hasPrefix(":-") else {
            throw ConfigurationValueError(
                "after ${\(name) comes } or :-default; nothing else is understood", showsValue: false)
        }
        let fallback = after.dropFirst(2)
        guard !fallback.contains("${") else {
            throw ConfigurationValueError("a default cannot hold another variable", showsValue: false)
        }
        guard let value = environment[String(name)], !value.isEmpty else { return String(fallback) }
        return value
    }
}
