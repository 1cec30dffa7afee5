import Fleet

/// What an engine's cumulative counters say about the last minutes: a value that is given each scrape.
public struct EngineWindow: Sendable {
    /// How far back it looks.
    public static let length: Duration = .seconds(300)
    /// How often a scrape is kept to compare with.
    static let step: Duration = .seconds(15)

    private var kept: [(at: Instant, counters: EngineCounters)] = []
    private var newest: EngineCounters?

    /// Nothing seen yet.
    public init() {}

    /// Takes a scrape. Counters that went backwards are another life of the server's: what was before is forgotten.
    public mutating func take(_ counters: EngineCounters, at now: Instant) {
        if let newest, Self.isAnother(counters, after: newest) { kept = [] }
        newest = counters
        if kept.last.map({ now - $0.at >= Self.step }) ?? true { kept.append((now, counters)) }
        // The oldest one is the other end of the window: it stays until the next one is old enough.
        while kept.count > 1, now - kept[1].at >= Self.length { kept.removeFirst() }
    }

    /// The share of looked-up tokens that the prefix cache had, 0 to 1; nil where none were looked up.
    public var prefixCacheHitRate: Double? {
        guard let newest, let oldest = kept.first?.counters, let queries = newest.prefixCacheQueries,
            let hits = newest.prefixCacheHits
        else { return nil }
        let asked = queries - (oldest.prefixCacheQueries ?? 0)
        guard asked > 0 else { return nil }
        return min(1, max(0, (hits - (oldest.prefixCacheHits ?? 0)) / asked))
    }

    /// The time in seconds within which a share of the requests had their first token; nil where there were none. Between
    /// two bounds as if all were spread evenly; beyond the last bound that bound, as Prometheus' `histogram_quantile` has it.
    public func timeToFirstToken(quantile: Double) -> Double? {
        guard let newest, let oldest = kept.first?.counters else { return nil }
        let counts = newest.firstTokens.map { bound, count in
            (bound: bound, count: max(0, count - (oldest.firstTokens[bound] ?? 0)))
        }.sorted { $0.bound < $1.bound }
        guard let total = counts.last?.count, total > 0 else { return nil }
        let rank = quantile * total
        var lower = (bound: 0.0, count: 0.0)
        for upper in counts {
            if upper.count >= rank {
                guard upper.bound.isFinite else { return lower.bound }
                let inside = upper.count - lower.count
                let share = inside > 0 ? (rank - lower.count) / inside : 1
                return lower.bound + (upper.bound - lower.bound) * share
            }
            lower = upper
        }
        return lower.bound.isFinite ? lower.bound : nil
    }

    private static func isAnother(_ counters: EngineCounters, after before: EngineCounters) -> Bool {
        if counters.movement(since: before) == .restarted { return true }
        let requests = counters.firstTokens[.infinity] ?? 0
        return requests < before.firstTokens[.infinity] ?? 0
            || (counters.prefixCacheQueries ?? 0) < (before.prefixCacheQueries ?? 0)
    }
}
