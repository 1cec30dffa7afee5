/// Which names mean that their value is a secret.
public enum SecretNames {
    /// Whether an environment variable's value is secret: its name contains KEY, TOKEN, SECRET or PASSWORD, in
    /// upper or lower case.
    public static func isSecret(variable name: String) -> Bool {
        let name = name.uppercased()
        return words.contains { name.contains($0) }
    }

    /// Whether a command line option's value is secret: one of its words, set apart by hyphens or underscores, is key,
    /// token, secret or password. (`--hf-token` is; `--max-num-batched-tokens` and `--tokenizer` are not.)
    public static func isSecret(option: String) -> Bool {
        let name = option.prefix { $0 != "=" }
        guard name.hasPrefix("-") else { return false }
        return name.split { $0 == "-" || $0 == "_" }.contains { words.contains($0.uppercased()) }
    }

    /// The arguments with the values of secret options replaced by `(set)`.
    public static func redacted(arguments: [String]) -> [String] {
        var result: [String] = []
        var hidesNext = false
        for argument in arguments {
            if hidesNext, !argument.hasPrefix("--") {
                result.append("(set)")
                hidesNext = false
                continue
            }
            hidesNext = false
            if isSecret(option: argument) {
                if let equals = argument.firstIndex(of: "=") {
                    result.append("\(argument[...equals])(set)")
                    continue
                }
                hidesNext = true
            }
            result.append(argument)
        }
        return result
    }

    private static let words = ["KEY", "TOKEN", "SECRET", "PASSWORD"]
}
