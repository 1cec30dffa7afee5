/// The body of `GET /api/v1/status` and of `stoker status --json`. Keys are snake case in JSON. No secret is in it.
public struct StatusReport: Sendable, Hashable, Codable {
    /// The daemon's version.
    public var version: String
    /// `supervise` or `attach-only`.
    public var mode: String
    /// Whether `ready_when` is met and the gateway has confirmed it.
    public var ready: Bool
    /// One sentence: "2/3 instances ready; chat-1 loading, 43 %".
    public var readyReason: String
    /// Since the supervisor started.
    public var uptimeSeconds: Double
    /// Grows with every change of this report.
    public var revision: UInt64
    /// The gateway process.
    public var gateway: GatewayStatus
    /// Providers in order of name.
    public var providers: [ProviderStatus]
    /// GPUs in the order of the bus; nil from a daemon that does not tell, empty where there are none.
    public var gpus: [GPUStatus]?
    /// The daemon's clock, RFC 3339 in UTC: what ages are reckoned from.
    public var time: String?
    /// When ``ready`` last changed, RFC 3339 in UTC; the daemon's start where it never did.
    public var readySince: String?
    /// The number of the newest event of `/api/v1/timeline`.
    public var lastEvent: UInt64?
    /// Things an operator should know: an invalid configuration kept out, a missing delegation. Empty when all is well.
    public var notices: [String]
    /// The last reload; absent before the first.
    public var lastReload: ReloadStatus?

    /// A report.
    public init(
        version: String, mode: String, ready: Bool, readyReason: String, uptimeSeconds: Double, revision: UInt64,
        gateway: GatewayStatus, providers: [ProviderStatus], notices: [String] = []
    ) {
        self.version = version
        self.mode = mode
        self.ready = ready
        self.readyReason = readyReason
        self.uptimeSeconds = uptimeSeconds
        self.revision = revision
        self.gateway = gateway
        self.providers = providers
        self.notices = notices
    }

    private enum CodingKeys: String, CodingKey {
        case version, mode, ready, revision, gateway, providers, notices, gpus, time
        case readySince = "ready_since"
        case lastEvent = "last_event"
        case readyReason = "ready_reason"
        case lastReload = "last_reload"
        case uptimeSeconds = "uptime_seconds"
    }
}

/// The gateway process in ``StatusReport``.
public struct GatewayStatus: Sendable, Hashable, Codable {
    /// Its process id; nil while it is being started again.
    public var pid: Int32?
    /// Requests in flight.
    public var inflight: Int
    /// Requests answered since it started.
    public var requestsTotal: UInt64
    /// How often it was started again.
    public var restarts: Int
    /// How the last one ended that was not asked to: "signal 9 after 12 s"; nil where none did.
    public var lastExit: String?
    /// Where it listens.
    public var listen: [String]
    /// Whether clients need a key.
    public var keyRequired: Bool?
    /// Whether its TCP addresses speak TLS.
    public var tls: Bool?

    /// A gateway's status.
    public init(
        pid: Int32?, inflight: Int, requestsTotal: UInt64, restarts: Int, lastExit: String? = nil, listen: [String]
    ) {
        self.pid = pid
        self.inflight = inflight
        self.requestsTotal = requestsTotal
        self.restarts = restarts
        self.lastExit = lastExit
        self.listen = listen
    }

    private enum CodingKeys: String, CodingKey {
        case pid, inflight, restarts, listen, tls
        case keyRequired = "key_required"
        case requestsTotal = "requests_total"
        case lastExit = "last_exit"
    }

    /// Every key is always there: a pid that there is none of is null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(pid, forKey: .pid)
        try container.encode(inflight, forKey: .inflight)
        try container.encode(requestsTotal, forKey: .requestsTotal)
        try container.encode(restarts, forKey: .restarts)
        try container.encode(lastExit, forKey: .lastExit)
        try container.encode(listen, forKey: .listen)
        try container.encode(keyRequired, forKey: .keyRequired)
        try container.encode(tls, forKey: .tls)
    }
}

/// A provider in ``StatusReport``.
public struct ProviderStatus: Sendable, Hashable, Codable {
    /// The provider's name.
    public var name: String
    /// Launched here, or attached.
    public var kind: ProviderKind
    /// The configured model; nil for an attached one, which tells what it serves.
    public var model: String?
    /// Its instances in order of name.
    public var instances: [InstanceStatus]

    /// A provider's status.
    public init(name: String, kind: ProviderKind, model: String? = nil, instances: [InstanceStatus]) {
        self.name = name
        self.kind = kind
        self.model = model
        self.instances = instances
    }
}

/// Where a provider's instances come from.
public enum ProviderKind: String, Sendable, Hashable, Codable {
    /// Launched and kept running here.
    case launched
    /// Runs already; only probed and routed to.
    case attached
}
