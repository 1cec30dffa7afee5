/// A histogram of durations as a gateway reports it: buckets whose bounds double every second step, so that all
/// gateways' and all builds' of one name can be added up.
public struct HistogramReport: Sendable, Hashable, Codable {
    /// How many bounds there are; what is beyond the last one is counted in one bucket more.
    public static let boundCount = 32

    /// What is measured, as the metric is named behind `stoker_`: `request_duration_seconds`.
    public var name: String
    /// The provider's name; nil where it is not told apart.
    public var provider: String?
    /// The route's pattern; nil where it is not told apart.
    public var route: String?
    /// The first bucket's upper bound, in seconds.
    public var firstBound: Double
    /// Durations in each bucket, not cumulative; empty buckets at the end may be left out.
    public var counts: [UInt64]
    /// The durations' sum, in seconds.
    public var sum: Double

    /// A histogram.
    public init(
        name: String, provider: String? = nil, route: String? = nil, firstBound: Double, counts: [UInt64], sum: Double
    ) {
        self.name = name
        self.provider = provider
        self.route = route
        self.firstBound = firstBound
        self.counts = counts
        self.sum = sum
    }

    /// The buckets' upper bounds in seconds, each inclusive: the first, then alternately half as much more and twice as
    /// much (1, 1.5, 2, 3, 4, 6, 8 … times the first).
    public var bounds: [Double] {
        (0..<Self.boundCount).map { index in
            let power = Double(1 << (index / 2))
            return firstBound * (index % 2 == 0 ? power : power * 1.5)
        }
    }

    /// Adds another one of the same name and labels.
    public mutating func add(_ other: HistogramReport) {
        for (index, count) in other.counts.enumerated() {
            if index < counts.count { counts[index] += count } else { counts.append(count) }
        }
        sum += other.sum
    }
}
