/// Writes families of samples as Prometheus text.
struct MetricsWriter {
    /// What a family's numbers do.
    enum Kind: String {
        /// Only grows, save for a restart.
        case counter
        /// Goes up and down.
        case gauge
    }

    /// What is written so far.
    private(set) var text = ""
    private var name = ""

    /// Begins a family. One without samples still has its two lines, so that its name can be found.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// A sample of the family.
    mutating func sample(_ labels: [(String, String)], _ value: Double) {
        let inner = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        text += name + (inner.isEmpty ? "" : "{\(inner)}") + " \(Self.number(value))\n"
    }

    /// Whole numbers without a fraction.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }
}
