import Fleet

/// What an instance's owner tells the registry at every transition: the whole of it, never a difference.
public struct InstanceRecord: Sendable, Hashable {
    /// The instance's provider.
    public var provider: String
    /// Launched or attached.
    public var kind: ProviderKind
    /// For people.
    public var status: InstanceStatus
    /// For the gateway: the runs that live, drain or replace; empty where nothing has an endpoint.
    public var entries: [InstanceEntry]
    /// Whether waiting can help no more: failed, misconfigured, stopped, or unreachable for 30 s.
    public var settled: Bool
    /// Whether it is expected to serve before long without anybody's help: starting, or ended and to be started again.
    public var isOnItsWay: Bool
    /// The configured model; nil where it is attached.
    public var model: String?
    /// What only `/metrics` shows.
    public var measures: InstanceMeasures

    /// Whether its last real request worked and nothing was said against it since: it could be published.
    public var isProven = false

    /// What the next life of the daemon needs to know of it; nil where it is attached.
    var memory: InstanceMemory?

    /// A record.
    public init(
        provider: String, kind: ProviderKind, status: InstanceStatus, entries: [InstanceEntry], settled: Bool,
        isOnItsWay: Bool = false, model: String? = nil, measures: InstanceMeasures = InstanceMeasures()
    ) {
        self.provider = provider
        self.kind = kind
        self.status = status
        self.entries = entries
        self.settled = settled
        self.isOnItsWay = isOnItsWay
        self.model = model
        self.measures = measures
    }
}

/// Where owners put their records: the registry. Called in the order of transitions.
public protocol InstanceSink: Sendable {
    /// Takes an instance's newest record; the registry publishes a snapshot at once when the gateway's view changed.
    func record(_ record: InstanceRecord) async
    /// Forgets an instance that is no longer configured.
    func forget(instance: String) async
}

/// What the registry tells an instance's owner.
public enum RegistryEvent: Sendable, Hashable {
    /// Every living gateway routes by a snapshot in which this run is published.
    case confirmed(InstanceRun)
    /// Every living gateway has applied a snapshot without this run's publication, and none has anything in flight on it.
    case drained(InstanceRun)
    /// What the gateways see of this run, added up: at every report while it lives.
    case activity(InstanceRun, inflight: Int, lastByte: Instant?)
    /// A gateway saw a connection to this run fail or break; a probe now, not at the next interval.
    case suspected(InstanceRun, reason: String)
}
