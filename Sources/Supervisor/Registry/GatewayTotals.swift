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
            counters: counters)
    }

    /// Adds one gateway's counters; ``lostByInstance`` is the registry's to keep.
    mutating func add(_ report: GatewayReport) {
        requestsTotal += report.requestsTotal
        for count in report.requests {
            let key = RequestKey(provider: count.provider, route: count.route, status: count.status)
            requests[key, default: 0] += count.count
        }
        counters.merge(report.counters, uniquingKeysWith: +)
    }
}
