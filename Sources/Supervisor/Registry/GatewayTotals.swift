import Fleet

/// What gateways have counted, summed over all that ever ran under this supervisor.
public struct GatewayTotals: Sendable, Hashable {
    /// Requests answered.
    public var requestsTotal: UInt64 = 0
    /// By provider, route and status.
    public var requests: [RequestKey: UInt64] = [:]
    /// Named counters.
    public var counters: [String: UInt64] = [:]
    /// Responses cut short, by instance.
    public var lostByInstance: [String: UInt64] = [:]
    /// Durations, by what they are of.
    public var histograms: [HistogramKey: HistogramReport] = [:]
    /// Tokens, by provider, model and kind; each one's count is in it.
    public var tokens: [TokenKey: UInt64] = [:]

    /// Nothing counted.
    public init() {}

    /// What ``requests`` is counted by.
    public struct RequestKey: Sendable, Hashable {
        /// The provider's name, or `-`.
        public var provider: String
        /// The route's pattern.
        public var route: String
        /// The HTTP status.
        public var status: Int
    }

    /// What ``histograms`` are told apart by.
    public struct HistogramKey: Sendable, Hashable {
        /// The metric.
        public var name: String
        /// The provider's name.
        public var provider: String?
        /// The route's pattern.
        public var route: String?
    }

    /// What ``tokens`` are counted by.
    public struct TokenKey: Sendable, Hashable {
        /// The provider's name.
        public var provider: String
        /// The model's id.
        public var model: String
        /// `prompt` or `completion`.
        public var kind: String
    }

    /// The totals in a report's form, for the metrics page.
    var report: GatewayReport {
        GatewayReport(
            requestsTotal: requestsTotal,
            runs: lostByInstance.sorted { $0.key < $1.key }.map { instance, lost in
                RunReport(run: InstanceRun(instance: instance, run: 0), lost: lost)
            },
            requests: requests.map { key, count in
                RequestCount(provider: key.provider, route: key.route, status: key.status, count: count)
            }.sorted { ($0.provider, $0.route, $0.status) < ($1.provider, $1.route, $1.status) },
            counters: counters,
            histograms: histograms.values.sorted {
                ($0.name, $0.provider ?? "", $0.route ?? "") < ($1.name, $1.provider ?? "", $1.route ?? "")
            },
            tokens: tokens.map { key, count in
                TokenCount(provider: key.provider, model: key.model, kind: key.kind, count: count)
            }.sorted { ($0.provider, $0.model, $0.kind) < ($1.provider, $1.model, $1.kind) })
    }

    /// Adds one gateway's counters; ``lostByInstance`` is the registry's to keep.
    mutating func add(_ report: GatewayReport) {
        requestsTotal += report.requestsTotal
        for count in report.requests {
            let key = RequestKey(provider: count.provider, route: count.route, status: count.status)
            requests[key, default: 0] += count.count
        }
        for (name, value) in report.counters {
            // A breaker is open or not, however many gateways say so.
            let isFlag = name.hasPrefix("breaker_open:")
            counters[name] = isFlag ? max(counters[name] ?? 0, value) : (counters[name] ?? 0) + value
        }
        for histogram in report.histograms ?? [] {
            let key = HistogramKey(name: histogram.name, provider: histogram.provider, route: histogram.route)
            if histograms[key]?.add(histogram) == nil { histograms[key] = histogram }
        }
        for count in report.tokens ?? [] {
            tokens[TokenKey(provider: count.provider, model: count.model, kind: count.kind), default: 0] += count.count
        }
    }

    /// Adds the counters of a gateway that is gone: nothing waits in it any more.
    mutating func addPast(_ report: GatewayReport) {
        var report = report
        report.counters = report.counters.filter { name, _ in
            !name.hasPrefix("queue_depth:") && !name.hasPrefix("breaker_open:") && name != "connections"
        }
        add(report)
    }
}
