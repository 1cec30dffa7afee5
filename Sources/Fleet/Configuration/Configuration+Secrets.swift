extension Configuration {
    /// Every secret that it holds: keys, and the values of secret environment variables and arguments. For who has to
    /// keep them out of a text.
    public var secrets: [Secret] {
        var all = masterKey.map { [$0] } ?? []
        for provider in providers {
            switch provider.source {
            case .attached(let attach): all += attach.apiKey.map { [$0] } ?? []
            case .launched(let launch):
                all += launch.env.filter { SecretNames.isSecret(variable: $0.key) }.map(\.value)
                let redacted = SecretNames.redacted(arguments: launch.args)
                all += zip(launch.args, redacted).filter { $0 != $1 }.map { Secret($0.0) }
            }
        }
        return all.filter { !$0.reveal().isEmpty }
    }

    /// A text with `(set)` in place of every secret that it quotes.
    public func redacting(_ text: String) -> String {
        // The longest first: one may begin with another.
        secrets.map { $0.reveal() }.sorted { $0.utf8.count > $1.utf8.count }
            .reduce(text) { $0.replacing($1, with: "(set)") }
    }
}
