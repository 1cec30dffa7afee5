/// Sizes in bytes as they are written in a configuration.
public enum ByteSize {
    private static let units: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000), ("B", 1),
    ]

    /// Bytes of `32MiB`, `1GiB`, `64KiB`, `10MB`, `1.5GiB` or a bare number of bytes.
    ///
    /// `32M` and `32m` are errors: they mean different things to different programs.
    public static func parse(_ text: String) throws(ConfigurationValueError) -> Int {
        let expected = "expected a size such as 64KiB, 32MiB, 1GiB or 10MB"
        let number = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        var unitName = text.dropFirst(number.count)
        while unitName.first == " " { unitName.removeFirst() }
        guard !number.isEmpty, number.first != ".", number.last != "." else {
            throw ConfigurationValueError(expected)
        }
        if unitName.isEmpty {
            guard let bytes = Int(number) else { throw ConfigurationValueError(expected) }
            return bytes
        }
        guard let unit = units.first(where: { $0.name == unitName }) else {
            throw ConfigurationValueError("\(expected); units are B, KiB, MiB, GiB, TiB and kB, MB, GB, TB")
        }
        if let whole = Int(number) {
            let (bytes, overflow) = whole.multipliedReportingOverflow(by: unit.bytes)
            guard !overflow else { throw ConfigurationValueError("is larger than any memory") }
            return bytes
        }
        guard let amount = Double(number) else { throw ConfigurationValueError(expected) }
        let bytes = amount * Double(unit.bytes)
        guard bytes < 4.0e18 else { throw ConfigurationValueError("is larger than any memory") }
        return Int(bytes.rounded())
    }

    /// As it would be written in a configuration: in the largest binary unit that divides it, else in bytes.
    public static func text(_ bytes: Int) -> String {
        if bytes == 0 { return "0" }
        for unit in units.prefix(4) where bytes % unit.bytes == 0 { return "\(bytes / unit.bytes)\(unit.name)" }
        return "\(bytes)"
    }
}
