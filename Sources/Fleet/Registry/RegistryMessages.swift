/// What a gateway says to its supervisor on the registry's socket.
public enum GatewayMessage: Sendable, Hashable, Codable {
    /// First on every connection.
    case hello(GatewayHello)
    /// Every loop has switched to this snapshot.
    case applied(SnapshotVersion)
    /// What has happened, stamped with the applied snapshot; at least once a second, and at once when a run that is
    /// no longer published has become idle.
    case report(GatewayReport)
}

/// What a supervisor says to a gateway.
public enum SupervisorMessage: Sendable, Hashable, Codable {
    /// Route by this from now on.
    case snapshot(RegistrySnapshot)
    /// Accept nothing any more, let streams end, then exit; at the deadline cut what is left.
    case retire(deadlineMilliseconds: Int)
}

/// Who a gateway is: the first message on each connection.
public struct GatewayHello: Sendable, Hashable, Codable {
    /// Its process id (checked against the socket's peer credentials).
    public var pid: Int32
    /// The build it runs, as `stoker version` prints it.
    public var build: String
    /// The addresses it listens on, in configuration's words.
    public var listeners: [String]
    /// The number of its loops.
    public var loops: Int
    /// What it routes by at present; nil before the first snapshot.
    public var applied: RegistrySnapshot?

    /// A greeting.
    public init(pid: Int32, build: String, listeners: [String], loops: Int, applied: RegistrySnapshot?) {
        self.pid = pid
        self.build = build
        self.listeners = listeners
        self.loops = loops
        self.applied = applied
    }
}

/// What a gateway has counted. Counters only grow during a gateway's life; instants are of the monotonic clock.
public struct GatewayReport: Sendable, Hashable, Codable {
    /// The snapshot that every loop routed by when this was taken.
    public var applied: SnapshotVersion?
    /// When each loop last turned.
    public var loopHeartbeats: [Instant]
    /// Requests in flight, all of them.
    public var inflight: Int
    /// Requests answered since the gateway started.
    public var requestsTotal: UInt64
    /// By run, every run of the applied snapshot and every other one with something in flight.
    public var runs: [RunReport]
    /// Requests by provider, route and status.
    public var requests: [RequestCount]
    /// Named counters beside these. A label stands behind a colon: `client_aborts:chat`, `retries:refused`,
    /// `queue_depth:chat`, `breaker_open:chat-0`.
    public var counters: [String: UInt64]
    /// Durations; nil from builds that measured none.
    public var histograms: [HistogramReport]?
    /// Tokens; nil from builds that counted none.
    public var tokens: [TokenCount]?

    /// A report.
    public init(
        applied: SnapshotVersion? = nil, loopHeartbeats: [Instant] = [], inflight: Int = 0, requestsTotal: UInt64 = 0,
        runs: [RunReport] = [], requests: [RequestCount] = [], counters: [String: UInt64] = [:],
        histograms: [HistogramReport]? = nil, tokens: [TokenCount]? = nil
    ) {
        self.applied = applied
        self.loopHeartbeats = loopHeartbeats
        self.inflight = inflight
        self.requestsTotal = requestsTotal
        self.runs = runs
        self.requests = requests
        self.counters = counters
        self.histograms = histograms
        self.tokens = tokens
    }
}

/// A gateway's view of one run.
public struct RunReport: Sendable, Hashable, Codable {
    /// Which run.
    public var run: InstanceRun
    /// Requests dispatched to it and not finished.
    public var inflight: Int
    /// When the last byte came that its engine has made: no head, no comment, no error; nil when none did.
    public var lastByte: Instant?
    /// Connections that failed or were lost before the response, since the gateway started.
    public var failures: UInt64
    /// Responses cut short after their first byte, since the gateway started.
    public var lost: UInt64
    /// One sentence on the newest failure, without secrets.
    public var lastFailure: String?

    /// A run's counts.
    public init(
        run: InstanceRun, inflight: Int = 0, lastByte: Instant? = nil, failures: UInt64 = 0, lost: UInt64 = 0,
        lastFailure: String? = nil
    ) {
        self.run = run
        self.inflight = inflight
        self.lastByte = lastByte
        self.failures = failures
        self.lost = lost
        self.lastFailure = lastFailure
    }
}

/// Requests answered, by what a client cannot invent.
public struct RequestCount: Sendable, Hashable, Codable {
    /// The provider's name, or `-` when none was chosen.
    public var provider: String
    /// The route's pattern, such as `/v1/chat/completions` or `/p/`.
    public var route: String
    /// The HTTP status; 499 for a client that left before one was sent.
    public var status: Int
    /// How many.
    public var count: UInt64

    /// A count.
    public init(provider: String, route: String, status: Int, count: UInt64) {
        self.provider = provider
        self.route = route
        self.status = status
        self.count = count
    }
}
