/// Writes families of samples as Prometheus text.
struct MetricsWriter {
    /// What a family's numbers do.
    enum Kind: String {
        /// Only grows, save for a restart.
        case counter
        /// Goes up and down.
        case gauge
        /// Buckets, a sum and a count.
        case histogram
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

    /// A histogram of the family: cumulative buckets, their sum and their count.
    mutating func histogram(_ labels: [(String, String)], bounds: [Double], counts: [UInt64], sum: Double) {
        let family = name
        name = family + "_bucket"
        var total: UInt64 = 0
        for (index, bound) in bounds.enumerated() {
            if index < counts.count { total += counts[index] }
            sample(labels + [("le", Self.bound(bound))], Double(total))
        }
        if bounds.count < counts.count { total += counts[bounds.count...].reduce(0, +) }
        sample(labels + [("le", "+Inf")], Double(total))
        name = family + "_sum"
        sample(labels, sum)
        name = family + "_count"
        sample(labels, Double(total))
        name = family
    }

    /// A bound without what binary fractions add to its decimal places.
    private static func bound(_ value: Double) -> String { "\((value * 1e9).rounded() / 1e9)" }

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
