import Fleet
import FoundationEssentials

/// Reports as lines of JSON.
enum StatusJSON {
    /// A report in one line, with its line break.
    static func line(_ report: StatusReport) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        guard let data = try? encoder.encode(report) else { return [] }
        return Array(data) + [10]
    }
}
