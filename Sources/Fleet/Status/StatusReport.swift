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
        case version, mode, ready, revision, gateway, providers, notices
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
        case pid, inflight, restarts, listen
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
    }
}

/// A provider in ``StatusReport``.
public struct ProviderStatus: Sendable, Hashable, Codable {
    /// The provider's name.
    public var name: String
    /// Launched here, or attached.
    public var kind: ProviderKind
    /// Its instances in order of name.
    public var instances: [InstanceStatus]

    /// A provider's status.
    public init(name: String, kind: ProviderKind, instances: [InstanceStatus]) {
        self.name = name
        self.kind = kind
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
