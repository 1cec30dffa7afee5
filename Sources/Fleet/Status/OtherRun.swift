/// A run of an instance beside the one that speaks for it, while one replaces the other.
public struct OtherRun: Sendable, Hashable, Codable {
    /// The run.
    public var run: UInt64
    /// Its state.
    public var state: InstanceState
    /// When it entered the state.
    public var since: String
    /// Why it is in this state.
    public var reason: String
    /// The head process.
    public var pid: Int32?
    /// Where it is reached.
    public var endpoint: String?
    /// Its GPUs.
    public var gpus: [String]
    /// Requests in flight on it.
    public var inflight: Int
    /// While loading: 0 to 100, where it can be told.
    public var progressPercent: Int?

    /// A run, from its own owner's status.
    public init(_ status: InstanceStatus, inflight: Int) {
        run = status.run
        state = status.state
        since = status.since
        reason = status.reason
        pid = status.pid
        endpoint = status.endpoint
        gpus = status.gpus
        self.inflight = inflight
        progressPercent = status.progressPercent
    }

    private enum CodingKeys: String, CodingKey {
        case run, state, since, reason, pid, endpoint, gpus, inflight
        case progressPercent = "progress_percent"
    }
}
