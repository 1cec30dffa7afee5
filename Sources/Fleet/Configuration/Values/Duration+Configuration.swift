extension Duration {
    /// Units of configured durations, from the longest.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ]

    /// A duration as it is written in a configuration: `500ms`, `1.5s`, `5m`, `2h`, `1d`, `1h30m`, or `0`.
    ///
    /// Any other number without a unit is an error: what it means would have to be guessed.
    public init(configuration text: String) throws(ConfigurationValueError) {
        let expected = "expected a duration such as 500ms, 30s, 5m or 2h"
        if text == "0" {
            self = .zero
            return
        }
        var rest = Substring(text)
        guard !rest.isEmpty else { throw ConfigurationValueError(expected) }
        var total: Double = 0
        var smallest = Int64.max
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let unitName = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unitName.count)
            guard let amount = Double(number), amount.isFinite, number.last != ".", number.first != "." else {
                throw ConfigurationValueError(expected)
            }
            guard !unitName.isEmpty else {
                throw ConfigurationValueError("\(expected); a number needs its unit")
            }
            guard let unit = Self.units.first(where: { $0.name == unitName }) else {
                throw ConfigurationValueError("\(expected); units are ms, s, m, h and d")
            }
            guard unit.nanoseconds < smallest else {
                throw ConfigurationValueError("\(expected); of several units the larger come first")
            }
            smallest = unit.nanoseconds
            total += amount * Double(unit.nanoseconds)
        }
        guard total < 3.0e18 else { throw ConfigurationValueError("is longer than 95 years") }
        self = .nanoseconds(Int64(total.rounded()))
    }

    /// As it would be written in a configuration: the largest unit that divides it, such as `90s` or `2h`;
    /// fractions of a millisecond as a fraction.
    public var configurationText: String {
        let nanoseconds = nanoseconds
        if nanoseconds == 0 { return "0" }
        for unit in Self.units where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        return "\(Double(nanoseconds) / 1e6)ms"
    }
}
