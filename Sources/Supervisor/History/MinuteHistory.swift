import Fleet

/// The last minutes in numbers, for lines that a person sees at a glance: a value that is given a report at each step.
/// Metrics are for whoever wants to know more.
public struct MinuteHistory: Sendable, Hashable, Codable {
    /// From one sample to the next.
    static let step: Duration = .seconds(5)
    /// How many samples are kept: ten minutes.
    static let length = 120

    /// An instance's last minutes, the oldest first; nil where nothing was known.
    public struct Series: Sendable, Hashable, Codable {
        /// Requests in flight.
        public var inflight: [Double?] = []
        /// Requests waiting in the engine.
        public var waiting: [Double?] = []
        /// Tokens generated a second.
        public var tokensPerSecond: [Double?] = []
        /// The KV cache's use, 0 to 1.
        public var kvCacheUsage: [Double?] = []

        private enum CodingKeys: String, CodingKey {
            case inflight, waiting
            case tokensPerSecond = "tokens_per_second"
            case kvCacheUsage = "kv_cache_usage"
        }
    }

    /// The gateway's last minutes.
    public struct GatewaySeries: Sendable, Hashable, Codable {
        /// Requests in flight.
        public var inflight: [Double?] = []
        /// Requests answered a second.
        public var requestsPerSecond: [Double?] = []

        private enum CodingKeys: String, CodingKey {
            case inflight
            case requestsPerSecond = "requests_per_second"
        }
    }

    /// From one sample to the next, in seconds.
    public var intervalSeconds: Double = Self.step.seconds
    /// By instance.
    public var instances: [String: Series] = [:]
    /// The gateway's.
    public var gateway = GatewaySeries()
    private var answered: (total: UInt64, at: Instant)?

    /// Nothing yet.
    public init() {}

    private enum CodingKeys: String, CodingKey {
        case instances, gateway
        case intervalSeconds = "interval_seconds"
    }

    /// Takes a sample.
    mutating func take(_ records: [InstanceStatus], inflight: Int, requestsTotal: UInt64, at now: Instant) {
        var next: [String: Series] = [:]
        for status in records {
            var series = instances[status.id] ?? Series()
            Self.push(Double(status.inflight), to: &series.inflight)
            Self.push(status.load.map { Double($0.waiting) }, to: &series.waiting)
            Self.push(status.load.map { Self.rounded($0.tokensPerSecond, 10) }, to: &series.tokensPerSecond)
            Self.push(status.load.map { Self.rounded($0.kvCacheUsage, 1000) }, to: &series.kvCacheUsage)
            next[status.id] = series
        }
        instances = next
        Self.push(Double(inflight), to: &gateway.inflight)
        var rate: Double?
        if let answered, now > answered.at, requestsTotal >= answered.total {
            rate = Self.rounded(Double(requestsTotal - answered.total) / (now - answered.at).seconds, 10)
        }
        Self.push(rate, to: &gateway.requestsPerSecond)
        answered = (requestsTotal, now)
    }

    private static func push(_ value: Double?, to values: inout [Double?]) {
        if values.count == length { values.removeFirst() }
        values.append(value)
    }

    /// Digits that no eye sees are not sent.
    private static func rounded(_ value: Double, _ parts: Double) -> Double { (value * parts).rounded() / parts }

    /// By what is shown.
    public static func == (left: MinuteHistory, right: MinuteHistory) -> Bool {
        left.instances == right.instances && left.gateway == right.gateway
    }

    /// By what is shown.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(instances)
        hasher.combine(gateway)
    }
}
