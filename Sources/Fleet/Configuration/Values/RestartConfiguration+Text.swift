extension RestartConfiguration {
    /// The shortest and the longest pause of `1s..5m`.
    public static func backoff(parsing text: String) throws(ConfigurationValueError) -> (Duration, Duration) {
        let expected = ConfigurationValueError("expected a range of durations such as 1s..5m")
        guard let dots = text.firstRange(of: "..") else { throw expected }
        let low = text[..<dots.lowerBound].trimmed
        let high = text[dots.upperBound...].trimmed
        guard let shortest = try? Duration(configuration: low), let longest = try? Duration(configuration: high) else {
            throw expected
        }
        guard shortest <= longest else {
            throw ConfigurationValueError("the first duration is longer than the second one")
        }
        return (shortest, longest)
    }

    /// The number and the window of `5 in 10m`.
    public static func budget(parsing text: String) throws(ConfigurationValueError) -> (Int, Duration) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 3, words[1] == "in", let count = Int(words[0]), (0...10_000).contains(count),
            let window = try? Duration(configuration: String(words[2])), window > .zero
        else {
            throw ConfigurationValueError("expected a number of restarts in a time, such as 5 in 10m")
        }
        return (count, window)
    }

    /// `1s..5m`
    public var backoffText: String { "\(backoffMin.configurationText)..\(backoffMax.configurationText)" }
    /// `5 in 10m`
    public var budgetText: String { "\(budget) in \(budgetWindow.configurationText)" }
}

extension StringProtocol {
    /// Without white space at both ends.
    var trimmed: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
