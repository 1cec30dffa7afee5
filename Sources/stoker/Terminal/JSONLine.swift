import FoundationEssentials

/// Values as lines of JSON, keys in order.
enum JSONLine {
    /// A value in one line, with its line break.
    static func of(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        guard let data = try? encoder.encode(value) else { return [] }
        return Array(data) + [10]
    }
}
