extension Configuration {
    /// The whole configuration as YAML without any secret, for bug reports and logs.
    ///
    /// Keys, tokens and the values of secret variables and options are `(set)`. Apart from those it is a configuration
    /// that can be loaded.
    public func redacted() -> String {
        var text = ""
        var open: [Substring] = []
        for setting in settings {
            var sections = setting.path.split(separator: ".")
            let name = sections.removeLast()
            let common = zip(open, sections).prefix { $0.0 == $0.1 }.count
            for level in common..<sections.count {
                text += "\(String(repeating: "  ", count: level))\(sections[level]):\n"
            }
            open = sections
            text += "\(String(repeating: "  ", count: sections.count))\(name): \(setting.text)\n"
        }
        return text
    }
}
