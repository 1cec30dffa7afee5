import Fleet

/// What `stoker.service` sets, read from the unit and its drop-ins: the last value counts, an empty one resets.
struct UnitFile: Sendable, Hashable {
    /// A setting of `[Service]` and where it stands.
    struct Setting: Sendable, Hashable {
        /// As written.
        var value: String
        /// The file.
        var file: String
        /// The line, from 1.
        var line: Int
    }

    /// The unit's own file.
    var file: String
    /// Settings of `[Service]` by name.
    var settings: [String: Setting] = [:]
    /// What its `Environment=` lines set; variables of an `EnvironmentFile=` are not known.
    var variables: [String: String] = [:]

    /// Where systemd looks for units, the first one found counts; drop-ins of all of them do.
    static let folders = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ]

    /// The unit that this machine has; nil where there is none.
    ///
    /// - Parameter root: Before each folder; another place in tests.
    static func find(_ name: String = "stoker.service", root: String = "") -> UnitFile? {
        let places = folders.map { "\(root)\($0)" }
        guard let file = places.map({ "\($0)/\(name)" }).first(where: SystemFile.exists),
            let text = SystemFile.text(file)
        else { return nil }
        var unit = UnitFile(file: file)
        unit.read(text, from: file)
        // Drop-ins in order of their names; one of the same name counts where it is found first.
        var drops: [String: String] = [:]
        for place in places {
            for drop in SystemFile.names(in: "\(place)/\(name).d") where drop.hasSuffix(".conf") && drops[drop] == nil {
                drops[drop] = "\(place)/\(name).d/\(drop)"
            }
        }
        for (_, file) in drops.sorted(by: { $0.key < $1.key }) {
            if let text = SystemFile.text(file) { unit.read(text, from: file) }
        }
        return unit
    }

    /// Takes the settings of a file's text.
    mutating func read(_ text: String, from file: String) {
        var isService = false
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let content = Self.trimmed(line)
            if content.hasPrefix("[") { isService = content == "[Service]" }
            guard isService, !content.hasPrefix("#"), !content.hasPrefix(";"), let equals = content.firstIndex(of: "=")
            else { continue }
            let name = Self.trimmed(content[..<equals])
            let value = Self.trimmed(content[content.index(after: equals)...])
            if name == "Environment" {
                if value.isEmpty { variables = [:] }
                variables.merge(Self.assignments(value)) { $1 }
            }
            settings[name] = value.isEmpty ? nil : Setting(value: value, file: file, line: number + 1)
        }
    }

    /// The environment that systemd gives to what the unit starts, of which the caller's own is no part.
    ///
    /// - Parameter home: The user's.
    func environment(home: String?) -> [String: String] {
        var environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        environment["HOME"] = home
        return environment.merging(variables) { $1 }
    }

    /// `A=b "C=d e"` as variables.
    static func assignments(_ text: String) -> [String: String] {
        var words: [String] = [""]
        var quote: Character?
        for character in text {
            if character == quote {
                quote = nil
            } else if quote == nil, character == "\"" || character == "'" {
                quote = character
            } else if quote == nil, character == " " || character == "\t" {
                words.append("")
            } else {
                words[words.count - 1].append(character)
            }
        }
        var found: [String: String] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else { continue }
            found[String(word[..<equals])] = String(word[word.index(after: equals)...])
        }
        return found
    }

    /// A limit's soft and hard value: `1024`, `1024:524288`, `infinity`, `64M`; nil where it is not understood.
    static func limit(_ text: String) -> (soft: UInt64, hard: UInt64)? {
        let parts = text.split(separator: ":").map { number(String($0)) }
        guard let soft = parts.first ?? nil, let hard = parts.last ?? nil, parts.count < 3 else { return nil }
        return (soft, hard)
    }

    private static func number(_ text: String) -> UInt64? {
        if text == "infinity" { return .max }
        let factors: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        if let last = text.last, let factor = factors[last] {
            return UInt64(text.dropLast()).map { $0.multipliedReportingOverflow(by: factor) }
                .map { $0.overflow ? .max : $0.partialValue }
        }
        return UInt64(text)
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text.drop { $0.isWhitespace })
    }
}
