/// The whole of what a gateway routes by, published by the supervisor as one value.
///
/// A snapshot replaces the one before it; nothing is ever patched. `(epoch, revision)` orders snapshots:
/// a new supervisor is a new epoch, which wins whatever its revision.
public struct RegistrySnapshot: Sendable, Hashable, Codable {
    /// The supervisor's epoch: grows with each supervisor on this state directory.
    public var epoch: UInt64
    /// Grows with each snapshot of an epoch, from 1.
    public var revision: UInt64
    /// What applies to every request.
    public var settings: GatewaySettings
    /// Providers in order of name.
    public var providers: [ProviderEntry]

    /// A snapshot.
    public init(epoch: UInt64, revision: UInt64, settings: GatewaySettings, providers: [ProviderEntry]) {
        self.epoch = epoch
        self.revision = revision
        self.settings = settings
        self.providers = providers
    }

    /// This snapshot's place in the order of snapshots.
    public var version: SnapshotVersion { SnapshotVersion(epoch: epoch, revision: revision) }
}

/// The order of snapshots: epoch first, then revision.
public struct SnapshotVersion: Sendable, Hashable, Comparable, Codable {
    /// The supervisor's epoch.
    public var epoch: UInt64
    /// The revision within the epoch.
    public var revision: UInt64

    /// A place in the order of snapshots.
    public init(epoch: UInt64, revision: UInt64) {
        self.epoch = epoch
        self.revision = revision
    }

    /// Epoch first, then revision.
    public static func < (left: SnapshotVersion, right: SnapshotVersion) -> Bool {
        (left.epoch, left.revision) < (right.epoch, right.revision)
    }
}

/// What a gateway needs to know beside instances. Durations are in milliseconds, sizes in bytes; 0 means no limit
/// for timeouts and for ``streamsPerInstance``.
public struct GatewaySettings: Sendable, Hashable, Codable {
    /// The key that clients must show; nil leaves the gateway open (loopback, or `allow_unauthenticated`).
    public var masterKey: Secret?
    /// Whether `/ready` answers 200.
    public var ready: Bool
    /// One sentence for `/ready`, such as "2/3 instances ready; chat-1 loading, 43 %".
    public var readyReason: String
    /// The largest request body.
    public var bodyBytes: Int
    /// All request bodies kept at one time; above it, reading pauses.
    public var bodyMemoryBytes: Int
    /// The largest request head.
    public var headerBytes: Int
    /// Requests in flight on one instance; 0 is no limit.
    public var streamsPerInstance: Int
    /// Requests that may wait when every instance is full; 0 answers 429 at once.
    public var queueLength: Int
    /// How long a request may wait in the queue.
    public var queueTimeoutMilliseconds: Int
    /// How long connecting to an instance may take.
    public var connectTimeoutMilliseconds: Int
    /// How long the first body byte may take; 0 is no limit.
    public var firstByteTimeoutMilliseconds: Int
    /// How long a stream may be silent.
    public var streamIdleTimeoutMilliseconds: Int
    /// How long a client may take nothing of what waits for it.
    public var slowReaderTimeoutMilliseconds: Int
    /// How long a retired gateway lets its streams go on.
    public var drainTimeoutMilliseconds: Int
    /// TLS on TCP addresses; nil for plain HTTP.
    public var tls: ListenerTLS?
    /// Origins whose pages may use the gateway, as browsers send them, or `*`.
    public var corsOrigins: [String]?
    /// Where the access log goes: `stderr` or a path; nil for nowhere.
    public var accessLog: String?
    /// Clients' connections at one time; nil is what the open files allow, at most 32,768.
    public var connections: Int?

    /// Settings with the contract's defaults.
    public init(
        masterKey: Secret? = nil, ready: Bool = false, readyReason: String = "starting",
        bodyBytes: Int = 32 << 20, bodyMemoryBytes: Int = 1 << 30, headerBytes: Int = 64 << 10,
        streamsPerInstance: Int = 0, queueLength: Int = 0, queueTimeoutMilliseconds: Int = 30_000,
        connectTimeoutMilliseconds: Int = 2_000, firstByteTimeoutMilliseconds: Int = 0,
        streamIdleTimeoutMilliseconds: Int = 300_000, slowReaderTimeoutMilliseconds: Int = 60_000,
        drainTimeoutMilliseconds: Int = 3_600_000, tls: ListenerTLS? = nil, corsOrigins: [String]? = nil,
        accessLog: String? = nil, connections: Int? = nil
    ) {
        self.masterKey = masterKey
        self.ready = ready
        self.readyReason = readyReason
        self.bodyBytes = bodyBytes
        self.bodyMemoryBytes = bodyMemoryBytes
        self.headerBytes = headerBytes
        self.streamsPerInstance = streamsPerInstance
        self.queueLength = queueLength
        self.queueTimeoutMilliseconds = queueTimeoutMilliseconds
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.firstByteTimeoutMilliseconds = firstByteTimeoutMilliseconds
        self.streamIdleTimeoutMilliseconds = streamIdleTimeoutMilliseconds
        self.slowReaderTimeoutMilliseconds = slowReaderTimeoutMilliseconds
        self.drainTimeoutMilliseconds = drainTimeoutMilliseconds
        self.tls = tls
        self.corsOrigins = corsOrigins
        self.accessLog = accessLog
        self.connections = connections
    }
}

/// A provider as the gateway knows it: a name in front of the first slash.
public struct ProviderEntry: Sendable, Hashable, Codable {
    /// The provider's name, `[a-z0-9-]{1,63}`.
    public var name: String
    /// The provider's type, the other way passthrough finds it: `vllm`.
    public var type: String
    /// Passthrough routes allowed beside the default ones, as `METHOD /path`.
    public var passthroughAllow: [String]
    /// Model ids known to belong here though perhaps nobody serves them now: these answer 503, not 404.
    public var knownModels: [String]
    /// While false, any id of this provider answers 503 instead of 404.
    public var settled: Bool
    /// Why nothing is published, for the 503's message: "loading 43 %", "restarting", "failed: out of memory".
    public var reason: String
    /// Whether it is still loading (`model_loading`) rather than gone (`model_unavailable`).
    public var loading: Bool
    /// For `retry-after`, in seconds.
    public var retryAfterSeconds: Int
    /// Every run that lives or drains, in order of name and run.
    public var instances: [InstanceEntry]
    /// The names of all its instances, also of those that have no run now; nil where a supervisor does not tell.
    public var instanceNames: [String]?

    /// Whether it has an instance of that name.
    public func hasInstance(_ name: String) -> Bool {
        instanceNames?.contains(name) ?? false || instances.contains { $0.run.instance == name }
    }

    /// A provider's entry.
    public init(
        name: String, type: String = "vllm", passthroughAllow: [String] = [], knownModels: [String] = [],
        settled: Bool = false, reason: String = "", loading: Bool = false, retryAfterSeconds: Int = 5,
        instances: [InstanceEntry] = [], instanceNames: [String]? = nil
    ) {
        self.name = name
        self.type = type
        self.passthroughAllow = passthroughAllow
        self.knownModels = knownModels
        self.settled = settled
        self.reason = reason
        self.loading = loading
        self.retryAfterSeconds = retryAfterSeconds
        self.instances = instances
        self.instanceNames = instanceNames
    }
}

/// One run of an instance as the gateway knows it.
public struct InstanceEntry: Sendable, Hashable, Codable {
    /// Which run of which instance.
    public var run: InstanceRun
    /// Where it is reached; nil while it has no live endpoint.
    public var endpoint: Endpoint?
    /// The key that the server wants, put in place of the client's.
    public var apiKey: Secret?
    /// The state, for messages and for passthrough by instance name.
    public var state: InstanceState
    /// Whether requests are routed here. Unpublished entries still count what is in flight.
    public var published: Bool
    /// What it serves.
    public var models: [ModelCard]

    /// An instance's entry.
    public init(
        run: InstanceRun, endpoint: Endpoint?, apiKey: Secret? = nil, state: InstanceState, published: Bool,
        models: [ModelCard] = []
    ) {
        self.run = run
        self.endpoint = endpoint
        self.apiKey = apiKey
        self.state = state
        self.published = published
        self.models = models
    }
}
