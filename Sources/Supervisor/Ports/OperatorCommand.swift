import Fleet

/// What a person can ask of an instance.
public enum OperatorCommand: String, Sendable, Hashable, Codable, CaseIterable {
    /// Starts it where it is stopped or failed; a failed one gets fresh budgets.
    case start
    /// Unpublishes, drains, ends it, and keeps it stopped.
    case stop
    /// Stops and starts it.
    case restart
    /// Unpublishes it and lets what is in flight finish; the process stays.
    case drain
    /// Publishes a drained one again.
    case undrain

    /// Whether an instance can be meant, when a whole provider is named. Only a guess at what its owner will say, who
    /// decides and says why not.
    ///
    /// - Parameters:
    ///   - state: Its state; nil where it has no owner.
    ///   - wish: What somebody has asked of it before and not taken back.
    func fits(_ kind: ProviderKind?, in state: InstanceState?, wish: OperatorCommand?) -> Bool {
        switch self {
        case .start, .stop, .restart: return kind == .launched
        case .undrain: return wish == .drain
        case .drain:
            switch state {
            case nil, .stopped, .failed, .stopping, .quarantined: return false
            default: return true
            }
        }
    }
}

/// Why a request to the daemon cannot be done. Each has a sentence that says what to do.
public enum ControlFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// No instance and no provider of this name.
    case noSuchInstance(String)
    /// What was given cannot be right.
    case invalid(String)
    /// Not possible in this state or mode.
    case refused(String)
    /// Was tried, and failed.
    case failed(String)

    /// The sentence for the user.
    public var description: String {
        switch self {
        case .noSuchInstance(let name):
            return "there is no instance or provider named \(name): 'stoker status' lists them"
        case .invalid(let reason), .refused(let reason), .failed(let reason): return reason
        }
    }
}

/// The daemon as the admin API sees it.
public protocol DaemonControl: Sendable {
    /// The present status.
    func status() async -> StatusReport
    /// A stream that yields after every change of status, the newest only, starting with the present one.
    func statusChanges() async -> AsyncStream<StatusReport>
    /// Acts on an instance or on all instances of a provider and returns when it is done or has failed.
    func act(_ command: OperatorCommand, on name: String) async throws(ControlFailure)
    /// The path of an instance's log of this or the previous run; nil when there is none.
    func logPath(of instance: String, previous: Bool) async throws(ControlFailure) -> String?
    /// Adds or replaces an attached instance at run time; kept in the state directory, its key by path.
    func attach(name: String, baseURL: String, apiKeyFile: String?) async throws(ControlFailure)
    /// Removes one that was added at run time.
    func detach(name: String) async throws(ControlFailure)
    /// Makes a plan of what the configuration file would change, and applies it unless only the plan is wanted.
    func reload(planOnly: Bool) async throws(ControlFailure) -> ReloadReport
    /// The last minutes in numbers.
    func history() async -> MinuteHistory
    /// What happened, behind the event of a number; the oldest first.
    func timeline(after number: UInt64) async -> [TimelineEvent]
    /// Sends a chat to the gateway with the key that clients need, and hands the answer on as it comes.
    func tryChat(_ body: [UInt8]) async throws(ControlFailure) -> ChatAnswer
    /// `GET /metrics`: Prometheus text.
    func metrics() async -> String
    /// `GET /metrics/engines`: the engines' own metrics, each with its instance's name, as Prometheus text.
    func engineMetrics() async -> String
}

/// What a reload changes. Names of instances.
public struct ReloadReport: Sendable, Hashable, Codable {
    /// New ones.
    public var added: [String]
    /// Gone ones.
    public var removed: [String]
    /// Replaced ones.
    public var changed: [String]
    /// The rest.
    public var untouched: [String]
    /// Settings that only a restart changes.
    public var needsRestart: [String]
    /// Those whose server stays and whose rules change; absent where none.
    public var adjusted: [String]?
    /// What differs for each instance that is changed or adjusted; secrets are not shown.
    public var reasons: [String: [String]]?
    /// Settings for which the gateway process is replaced; its streams go on.
    public var newGateway: [String]?
    /// Failed ones that are given another try; absent where none.
    public var retried: [String]?
    /// The version of a new program that takes over, where one does.
    public var successor: String?
    /// The reload's number: ``StatusReport/reload`` tells how it went. Only of one that is applied.
    public var number: Int?

    /// A report.
    public init(
        added: [String] = [], removed: [String] = [], changed: [String] = [], untouched: [String] = [],
        needsRestart: [String] = []
    ) {
        self.added = added
        self.removed = removed
        self.changed = changed
        self.untouched = untouched
        self.needsRestart = needsRestart
    }

    private enum CodingKeys: String, CodingKey {
        case added, removed, changed, untouched, successor, number, adjusted, reasons, retried
        case newGateway = "new_gateway"
        case needsRestart = "needs_restart"
    }
}
