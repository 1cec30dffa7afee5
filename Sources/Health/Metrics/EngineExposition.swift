/// The engines' own metrics as one text: what several servers say at `/metrics`, told apart by `instance` and `provider`.
///
/// A family may stand only once in Prometheus' text, with all of its samples, so the servers' texts are taken apart and
/// put together by family. Only `vllm:` is taken: what a server says of its Python process is nobody's alarm, and would
/// be confused with this daemon's own.
///
/// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
public struct EngineExposition: Sendable {
    /// The longest text of one server that is read, in bytes.
    public static let longestText = 4 << 20

    private struct Family {
        var help: String?
        var type: String?
        var samples: [String] = []
    }

    private var families: [String: Family] = [:]
    private var order: [String] = []
    private var answers: [(instance: String, provider: String, isUp: Bool)] = []

    /// Nothing yet.
    public init() {}

    /// Takes what a server said; nil where it said nothing.
    public mutating func add(instance: String, provider: String, text: [UInt8]?) {
        answers.append((instance, provider, text != nil))
        guard let text else { return }
        let labels = "instance=\"\(instance)\",provider=\"\(provider)\""
        var current = ""
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            if line.hasPrefix("# ") {
                let words = line.split(separator: " ", maxSplits: 3)
                guard words.count == 4, words[2].hasPrefix("vllm:") else { continue }
                current = String(words[2])
                if words[1] == "HELP" {
                    change(current) { $0.help = $0.help ?? String(words[3]) }
                } else if words[1] == "TYPE" {
                    change(current) { $0.type = $0.type ?? String(words[3]) }
                }
            } else if line.hasPrefix("vllm:"), let sample = Self.labelled(line, with: labels) {
                let name = line.prefix { $0 != "{" && $0 != " " }
                // A histogram's samples have a suffix; one that follows no family of its own is a family.
                let family = !current.isEmpty && name.hasPrefix(current) ? current : String(name)
                change(family) { $0.samples.append(sample) }
            }
        }
    }

    /// Prometheus text.
    public func render() -> String {
        var text = "# HELP stoker_engine_scrape_up Whether the engine's own metrics could be read (0 or 1).\n"
        text += "# TYPE stoker_engine_scrape_up gauge\n"
        for answer in answers {
            text += "stoker_engine_scrape_up{instance=\"\(answer.instance)\",provider=\"\(answer.provider)\"} "
            text += answer.isUp ? "1\n" : "0\n"
        }
        for name in order {
            guard let family = families[name], !family.samples.isEmpty else { continue }
            if let help = family.help { text += "# HELP \(name) \(help)\n" }
            if let type = family.type { text += "# TYPE \(name) \(type)\n" }
            for sample in family.samples { text += sample + "\n" }
        }
        return text
    }

    private mutating func change(_ name: String, _ body: (inout Family) -> Void) {
        if families[name] == nil { order.append(name) }
        body(&families[name, default: Family()])
    }

    /// The sample with two labels more, in front of its own; nil where it is none.
    private static func labelled(_ line: Substring, with labels: String) -> String? {
        if let open = line.firstIndex(of: "{"), let end = line.lastIndex(of: "}"), open < end {
            let own = line[line.index(after: open)..<end]
            return line[..<open] + "{" + labels + (own.isEmpty ? "" : "," + own) + line[end...]
        }
        guard let space = line.firstIndex(of: " ") else { return nil }
        return line[..<space] + "{" + labels + "}" + line[space...]
    }
}
