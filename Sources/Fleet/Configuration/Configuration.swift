/// The whole configuration, validated: what CONTRACT §2 calls YAML, environment and command line, merged.
///
/// A value of this type is always runnable as far as a configuration alone can tell: every problem that can be seen
/// without asking the machine has been reported by the parser.
public struct Configuration: Sendable, Hashable, Codable {
    /// The gateway's listening addresses.
    public var listen: [ListenAddress]
    /// The admin side: dashboard, status, metrics.
    public var admin: AdminConfiguration
    /// The key that clients must show.
    public var masterKey: Secret?
    /// Whether a non-loopback gateway may be without a key.
    public var allowUnauthenticated: Bool
    /// Whether anything is ever launched or signalled.
    public var mode: Mode
    /// When `READY=1` is sent and `/ready` turns 200.
    public var readyWhen: ReadyWhen
    /// How many launched instances may read their weights at one time; 0 is no limit.
    public var startsAtOnce: Int
    /// Providers in order of name.
    public var providers: [ProviderConfiguration]
    /// How health is asked.
    public var health: HealthConfiguration
    /// Limits of the gateway.
    public var limits: LimitsConfiguration
    /// Timeouts of the gateway.
    public var timeouts: GatewayTimeouts
    /// How an instance is chosen.
    public var routing: RoutingConfiguration
    /// The gateway process.
    public var gateway: GatewayConfiguration
    /// TLS on the gateway's TCP addresses; nil for plain HTTP.
    public var tls: ListenerTLS?
    /// Origins whose pages may use the gateway, as browsers send them, or `*`; nil or empty for none.
    public var corsOrigins: [String]?
    /// Where the access log goes: `stderr`, or a file's path; nil for nowhere.
    public var accessLog: String?

    /// Built-in defaults, no provider.
    public init() {
        listen = [.tcp(host: "127.0.0.1", port: 8080)]
        admin = AdminConfiguration()
        masterKey = nil
        allowUnauthenticated = false
        mode = .supervise
        readyWhen = .any
        startsAtOnce = 2
        providers = []
        health = HealthConfiguration()
        limits = LimitsConfiguration()
        timeouts = GatewayTimeouts()
        routing = RoutingConfiguration()
        gateway = GatewayConfiguration()
        tls = nil
        corsOrigins = nil
        accessLog = nil
    }

    /// What the daemon may do to engines.
    public enum Mode: String, Sendable, Hashable, Codable, CaseIterable {
        /// Launches, restarts and stops what is configured.
        case supervise
        /// Only probes and routes: nothing is ever launched or signalled.
        case attachOnly = "attach-only"
    }

    /// What readiness waits for.
    public enum ReadyWhen: String, Sendable, Hashable, Codable, CaseIterable {
        /// One instance is ready.
        case any
        /// Every instance is ready.
        case all
        /// The gateway listens.
        case listening
    }
}

/// An address to listen on.
public enum ListenAddress: Sendable, Hashable, Codable, CustomStringConvertible {
    /// A host (numeric, or `localhost`; no brackets) and a port; port 0 lets the kernel choose.
    case tcp(host: String, port: UInt16)
    /// A Unix socket's path.
    case unix(path: String)

    /// `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/stoker/gateway.sock`.
    public var description: String {
        switch self {
        case .tcp(let host, let port): return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): return "unix:\(path)"
        }
    }

    /// Whether only this machine can reach it.
    public var isLoopback: Bool {
        switch self {
        case .unix: return true
        case .tcp(let host, _): return host == "localhost" || host == "::1" || host.hasPrefix("127.")
        }
    }
}

/// The admin listener.
public struct AdminConfiguration: Sendable, Hashable, Codable {
    /// Where it listens beside its Unix socket.
    public var listen: [ListenAddress] = [.tcp(host: "127.0.0.1", port: 8081)]
    /// The file that holds the admin token; nil means `admin.token` in the state directory, made at first start.
    public var tokenFile: String?

    /// The defaults.
    public init() {}
}

/// One provider: a name that routes to one or several instances.
public struct ProviderConfiguration: Sendable, Hashable, Codable {
    /// `[a-z0-9-]{1,63}`.
    public var name: String
    /// Launched here, or attached.
    public var source: Source
    /// Model ids used where `/v1/models` cannot be asked.
    public var models: [String]
    /// Passthrough routes allowed beside the defaults, as `METHOD /path`.
    public var passthroughAllow: [String]

    /// A provider.
    public init(name: String, source: Source, models: [String] = [], passthroughAllow: [String] = []) {
        self.name = name
        self.source = source
        self.models = models
        self.passthroughAllow = passthroughAllow
    }

    /// Where its instances come from.
    public enum Source: Sendable, Hashable, Codable {
        /// Launched and kept running here.
        case launched(LaunchConfiguration)
        /// Runs already; only probed and routed to.
        case attached(AttachConfiguration)
    }

    /// The names of its instances: `chat-0`, `chat-1` where launched, the provider's own name where attached.
    public var instanceNames: [String] {
        switch source {
        case .launched(let launch): return (0..<launch.replicas).map { "\(name)-\($0)" }
        case .attached: return [name]
        }
    }
}

/// How `vllm serve` is launched.
public struct LaunchConfiguration: Sendable, Hashable, Codable {
    /// The model: a hub id or a path.
    public var model: String
    /// How many instances.
    public var replicas: Int = 1
    /// GPUs of each replica.
    public var gpus: GPURequest = .automatic
    /// Arguments after the model, as written.
    public var args: [String] = []
    /// Environment beside the inherited one. Values of names with KEY, TOKEN, SECRET or PASSWORD are secret.
    public var env: [String: Secret] = [:]
    /// What runs before the model.
    public var command: [String] = ["vllm", "serve"]
    /// Socket kind.
    public var transport: Transport = .unix
    /// Restart policy.
    public var restart = RestartConfiguration()
    /// Deadlines.
    public var timeouts = LaunchTimeouts()
    /// Whether a real request is made before `ready`.
    public var warmup: Warmup = .auto

    /// A launch with defaults.
    public init(model: String) { self.model = model }

    /// GPUs of a replica.
    public enum GPURequest: Sendable, Hashable, Codable {
        /// One where NVML finds any, else none.
        case automatic
        /// A number, never shared.
        case count(Int)
        /// Indices or UUIDs, as written.
        case devices([String])
    }

    /// How the gateway reaches the server.
    public enum Transport: String, Sendable, Hashable, Codable, CaseIterable {
        /// A Unix socket in the runtime directory.
        case unix
        /// A port on 127.0.0.1.
        case tcp
    }

    /// What happens between `/v1/models` and `ready`.
    public enum Warmup: String, Sendable, Hashable, Codable, CaseIterable {
        /// A real one-token request of a kind the model takes.
        case auto
        /// Nothing.
        case none
    }
}

/// When and how often an instance is started again.
public struct RestartConfiguration: Sendable, Hashable, Codable {
    /// The first pause after an exit.
    public var backoffMin: Duration = .seconds(1)
    /// The longest pause.
    public var backoffMax: Duration = .seconds(300)
    /// Crashes after ready that are borne within ``budgetWindow``.
    public var budget: Int = 5
    /// The window that ``budget`` counts in.
    public var budgetWindow: Duration = .seconds(600)
    /// Starts in a row that never got ready.
    public var startBudget: Int = 3

    /// The defaults: `{ backoff: 1s..5m, budget: 5 in 10m, start_budget: 3 }`.
    public init() {}
}

/// Deadlines of a launched instance.
public struct LaunchTimeouts: Sendable, Hashable, Codable {
    /// A start without any progress for this long is ended.
    public var startStall: Duration = .seconds(600)
    /// A start is ended after this long, progress or not.
    public var startMax: Duration = .seconds(7200)
    /// How long what is in flight may go on before SIGTERM.
    public var drain: Duration = .seconds(60)
    /// From SIGTERM to SIGKILL of the whole tree.
    public var stop: Duration = .seconds(30)

    /// The defaults: `{ start_stall: 10m, start_max: 2h, drain: 60s, stop: 30s }`.
    public init() {}
}

/// A server that runs already.
public struct AttachConfiguration: Sendable, Hashable, Codable {
    /// Where it is, parsed.
    public var baseURL: BaseURL
    /// The key that it wants.
    public var apiKey: Secret?
    /// A PEM file of roots for `https`.
    public var caFile: String?

    /// An attached server.
    public init(baseURL: BaseURL, apiKey: Secret? = nil, caFile: String? = nil) {
        self.baseURL = baseURL
        self.apiKey = apiKey
        self.caFile = caFile
    }
}

/// A server's base URL, without `/v1` and trailing slash.
public struct BaseURL: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Whether it is `https`.
    public var isTLS: Bool
    /// A name or a numeric address, lower case, no brackets; empty for a Unix socket.
    public var host: String
    /// The port; 80 or 443 where none was written.
    public var port: UInt16
    /// Empty, or the path before `/v1` such as `/prefix`.
    public var path: String
    /// Set for `unix:/path/to.sock`.
    public var unixPath: String?

    /// A base URL from its parts.
    public init(isTLS: Bool, host: String, port: UInt16, path: String, unixPath: String? = nil) {
        self.isTLS = isTLS
        self.host = host
        self.port = port
        self.path = path
        self.unixPath = unixPath
    }

    /// As a person would write it, without `/v1` and without user information.
    public var description: String {
        if let unixPath { return "unix:\(unixPath)\(path)" }
        return "\(isTLS ? "https" : "http")://\(authority)\(path)"
    }

    /// The `Host` header: the port is left out where it is the scheme's own.
    public var authority: String {
        if unixPath != nil { return "localhost" }
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
    }
}

/// How health is asked.
public struct HealthConfiguration: Sendable, Hashable, Codable {
    /// Between two rounds of probes.
    public var interval: Duration = .seconds(2)
    /// For one probe.
    public var timeout: Duration = .seconds(5)
    /// Failures in a row that make an instance unhealthy.
    public var unhealthyAfter: Int = 3
    /// Successes in a row that make it healthy again.
    public var healthyAfter: Int = 1
    /// How long work may be in flight without a byte and without a counter moving.
    public var hangAfter: Duration = .seconds(60)
    /// When a real request is made of a ready instance.
    public var canary: Canary = .idle

    /// The defaults.
    public init() {}

    /// When canaries are sent.
    public enum Canary: String, Sendable, Hashable, Codable, CaseIterable {
        /// Only where nothing is in flight.
        case idle
        /// Never, except to confirm a suspected hang.
        case off
    }
}

/// Limits of the gateway. Sizes in bytes.
public struct LimitsConfiguration: Sendable, Hashable, Codable {
    /// The largest request body.
    public var body: Int = 32 << 20
    /// All bodies kept at one time.
    public var bodyMemory: Int = 1 << 30
    /// The largest request head.
    public var header: Int = 64 << 10
    /// Requests in flight on one instance; 0 is no limit.
    public var streamsPerInstance: Int = 0
    /// Requests that may wait when all instances are full; 0 answers 429 at once.
    public var queue: Int = 0
    /// How long one may wait.
    public var queueTimeout: Duration = .seconds(30)
    /// Clients' connections; nil is what the open files allow, at most 32,768.
    public var connections: Int?

    /// The defaults.
    public init() {}
}

/// Timeouts of the gateway.
public struct GatewayTimeouts: Sendable, Hashable, Codable {
    /// Connecting to an instance.
    public var connect: Duration = .seconds(2)
    /// To the first body byte; zero is no limit.
    public var firstByte: Duration = .zero
    /// A silent stream.
    public var streamIdle: Duration = .seconds(300)
    /// A client that takes nothing of what waits for it.
    public var slowReader: Duration = .seconds(60)

    /// The defaults.
    public init() {}
}

/// How an instance is chosen.
public struct RoutingConfiguration: Sendable, Hashable, Codable {
    /// The policy.
    public var policy: Policy = .leastInflight

    /// The defaults.
    public init() {}

    /// Policies.
    public enum Policy: String, Sendable, Hashable, Codable, CaseIterable {
        /// Fewest requests in flight, ties at random.
        case leastInflight = "least_inflight"
    }
}

/// The gateway process.
public struct GatewayConfiguration: Sendable, Hashable, Codable {
    /// Event loops.
    public var loops: Int = 2
    /// How long a retired gateway's streams may go on.
    public var drain: Duration = .seconds(3600)
    /// The memory in bytes above which a gateway process is replaced; nil for the default, which follows from the limits.
    public var memory: Int?

    /// The defaults.
    public init() {}
}
