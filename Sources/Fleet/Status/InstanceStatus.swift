/// An instance as a person sees it. Its owner makes a new one at every transition. Times are RFC 3339 in UTC.
public struct InstanceStatus: Sendable, Hashable, Codable {
    /// The instance's name.
    public var id: String
    /// The run that this describes.
    public var run: UInt64
    /// The state.
    public var state: InstanceState
    /// When it entered the state.
    public var since: String
    /// One sentence: why it is in this state.
    public var reason: String
    /// Whether the gateway routes to it.
    public var published: Bool
    /// The head process; nil where there is none or it is someone else's.
    public var pid: Int32?
    /// How often it was started again.
    public var restarts: Int
    /// Where it is reached, without user information.
    public var endpoint: String?
    /// GPU indices or UUIDs.
    public var gpus: [String]
    /// The ids it serves.
    public var models: [String]
    /// Requests in flight through the gateway.
    public var inflight: Int
    /// While loading: 0 to 100, where it can be told.
    public var progressPercent: Int?
    /// While loading: `weights`, `compile`, `graphs`, `kv cache` …
    public var phase: String?
    /// What each witness says.
    public var checks: [Check]
    /// The last time it failed.
    public var lastFailure: Failure?
    /// The engine's own counters.
    public var load: Load?
    /// While it starts: when it should be ready, by its provider's earlier starts; nil where there were none.
    public var expectedReady: ExpectedReady?
    /// While it is replaced: the run that starts beside this one, or the one before it that drains.
    public var otherRuns: [OtherRun] = []

    /// An instance's status with nothing known yet.
    public init(id: String, run: UInt64 = 0, state: InstanceState, since: String, reason: String) {
        self.id = id
        self.run = run
        self.state = state
        self.since = since
        self.reason = reason
        published = false
        pid = nil
        restarts = 0
        endpoint = nil
        gpus = []
        models = []
        inflight = 0
        checks = []
    }

    private enum CodingKeys: String, CodingKey {
        case id, run, state, since, reason, published, pid, restarts, endpoint, gpus, models, inflight, phase, checks
        case load
        case progressPercent = "progress_percent"
        case lastFailure = "last_failure"
        case expectedReady = "expected_ready"
        case otherRuns = "other_runs"
    }

    /// What a report of another version may not have is left as it is when nothing is known.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        run = try container.decode(UInt64.self, forKey: .run)
        state = try container.decode(InstanceState.self, forKey: .state)
        since = try container.decode(String.self, forKey: .since)
        reason = try container.decode(String.self, forKey: .reason)
        published = try container.decode(Bool.self, forKey: .published)
        pid = try container.decodeIfPresent(Int32.self, forKey: .pid)
        restarts = try container.decode(Int.self, forKey: .restarts)
        endpoint = try container.decodeIfPresent(String.self, forKey: .endpoint)
        gpus = try container.decode([String].self, forKey: .gpus)
        models = try container.decode([String].self, forKey: .models)
        inflight = try container.decode(Int.self, forKey: .inflight)
        progressPercent = try container.decodeIfPresent(Int.self, forKey: .progressPercent)
        phase = try container.decodeIfPresent(String.self, forKey: .phase)
        checks = try container.decode([Check].self, forKey: .checks)
        lastFailure = try container.decodeIfPresent(Failure.self, forKey: .lastFailure)
        load = try container.decodeIfPresent(Load.self, forKey: .load)
        expectedReady = try container.decodeIfPresent(ExpectedReady.self, forKey: .expectedReady)
        otherRuns = try container.decodeIfPresent([OtherRun].self, forKey: .otherRuns) ?? []
    }

    /// Every key is always there: what is not known is null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(run, forKey: .run)
        try container.encode(state, forKey: .state)
        try container.encode(since, forKey: .since)
        try container.encode(reason, forKey: .reason)
        try container.encode(published, forKey: .published)
        try container.encode(pid, forKey: .pid)
        try container.encode(restarts, forKey: .restarts)
        try container.encode(endpoint, forKey: .endpoint)
        try container.encode(gpus, forKey: .gpus)
        try container.encode(models, forKey: .models)
        try container.encode(inflight, forKey: .inflight)
        try container.encode(progressPercent, forKey: .progressPercent)
        try container.encode(phase, forKey: .phase)
        try container.encode(checks, forKey: .checks)
        try container.encode(lastFailure, forKey: .lastFailure)
        try container.encode(load, forKey: .load)
        try container.encode(expectedReady, forKey: .expectedReady)
        try container.encode(otherRuns, forKey: .otherRuns)
    }

    /// What one witness says.
    public struct Check: Sendable, Hashable, Codable {
        /// The witness.
        public var signal: Signal
        /// Whether it speaks for the instance.
        public var ok: Bool
        /// How old its word is.
        public var ageSeconds: Double
        /// One sentence.
        public var detail: String

        /// A witness's word.
        public init(signal: Signal, ok: Bool, ageSeconds: Double, detail: String) {
            self.signal = signal
            self.ok = ok
            self.ageSeconds = ageSeconds
            self.detail = detail
        }

        private enum CodingKeys: String, CodingKey {
            case signal, ok, detail
            case ageSeconds = "age_seconds"
        }
    }

    /// The witnesses.
    public enum Signal: String, Sendable, Hashable, Codable, CaseIterable {
        /// The process tree.
        case process
        /// `/health`
        case health
        /// `/v1/models`
        case models
        /// Counters and bytes that move.
        case progress
        /// A real request.
        case canary
    }

    /// The last time it failed.
    public struct Failure: Sendable, Hashable, Codable {
        /// When.
        public var at: String
        /// `exit`, `signal`, `start_stalled`, `hang`, `health`, `launch` …
        public var kind: String
        /// One sentence: "exit code 1 after 12 s".
        public var detail: String
        /// The last lines of its log that explain it.
        public var logTail: [String]
        /// What to do about it.
        public var hint: String?

        /// A failure.
        public init(at: String, kind: String, detail: String, logTail: [String], hint: String?) {
            self.at = at
            self.kind = kind
            self.detail = detail
            self.logTail = logTail
            self.hint = hint
        }

        private enum CodingKeys: String, CodingKey {
            case at, kind, detail, hint
            case logTail = "log_tail"
        }

        /// Every key is always there: a hint that there is none of is null.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(at, forKey: .at)
            try container.encode(kind, forKey: .kind)
            try container.encode(detail, forKey: .detail)
            try container.encode(logTail, forKey: .logTail)
            try container.encode(hint, forKey: .hint)
        }
    }

    /// The engine's own counters.
    public struct Load: Sendable, Hashable, Codable {
        /// `vllm:num_requests_running`
        public var running: Int
        /// `vllm:num_requests_waiting`
        public var waiting: Int
        /// `vllm:kv_cache_usage_perc`, 0 to 1.
        public var kvCacheUsage: Double
        /// Tokens generated a second, between the last two scrapes.
        public var tokensPerSecond: Double
        /// Of the tokens looked for in the prefix cache in the last minutes, the share that was there, 0 to 1; nil where
        /// none were.
        public var prefixCacheHitRate: Double?
        /// Half of the requests of the last minutes had their first token within this time, in seconds, by
        /// `vllm:time_to_first_token_seconds`; nil where there were none.
        public var ttftP50Seconds: Double?
        /// 99 of 100 had it within this time.
        public var ttftP99Seconds: Double?

        /// A load.
        public init(running: Int, waiting: Int, kvCacheUsage: Double, tokensPerSecond: Double) {
            self.running = running
            self.waiting = waiting
            self.kvCacheUsage = kvCacheUsage
            self.tokensPerSecond = tokensPerSecond
        }

        private enum CodingKeys: String, CodingKey {
            case running, waiting
            case kvCacheUsage = "kv_cache_usage"
            case tokensPerSecond = "tokens_per_second"
            case prefixCacheHitRate = "prefix_cache_hit_rate"
            case ttftP50Seconds = "ttft_p50_seconds"
            case ttftP99Seconds = "ttft_p99_seconds"
        }

        /// Every key is always there: what is not known is null.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(running, forKey: .running)
            try container.encode(waiting, forKey: .waiting)
            try container.encode(kvCacheUsage, forKey: .kvCacheUsage)
            try container.encode(tokensPerSecond, forKey: .tokensPerSecond)
            try container.encode(prefixCacheHitRate, forKey: .prefixCacheHitRate)
            try container.encode(ttftP50Seconds, forKey: .ttftP50Seconds)
            try container.encode(ttftP99Seconds, forKey: .ttftP99Seconds)
        }
    }

    /// When a start should come to its end.
    public struct ExpectedReady: Sendable, Hashable, Codable {
        /// When, RFC 3339 in UTC.
        public var at: String
        /// How long such a start takes from its launch on, in seconds: the median of earlier ones.
        public var seconds: Double
        /// How many earlier ones.
        public var loads: Int

        /// An expectation.
        public init(at: String, seconds: Double, loads: Int) {
            self.at = at
            self.seconds = seconds
            self.loads = loads
        }
    }
}
