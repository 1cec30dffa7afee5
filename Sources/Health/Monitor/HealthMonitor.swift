import Fleet

/// Schedules the probes of one run and judges their answers: a pure machine, one for each run.
///
/// It asks `/v1/models` until the server listens, makes a real request until it is warm, and then watches four witnesses:
/// `/health`, `/v1/models`, the counters of `/metrics` with the bytes that gateways see, and canaries. The rules:
///
/// - One witness unpublishes; condemning takes two, or one that repeats what cannot be undone (an engine that vLLM calls
///   dead). An attached server is never condemned.
/// - A probe that times out counts for nothing while bytes flow, counters move or requests are answered.
/// - Hung is: work in flight, no byte, counters still for `hang_after`, and then a canary that fails. Where counters are
///   missing two canaries must fail; where no canary can tell (audio, a server too busy), the engine's own count of
///   requests must stand still for twice `hang_after`.
/// - Work that waits is what is in flight, and what was given up without a byte: until a sign of life comes after it.
/// - An idle engine is asked by a canary after half of `hang_after` (at most 30 s) without a sign of life. Two failures in
///   a row unpublish it; it is condemned by the rule above, its canary being the work in flight.
/// - 503 of a request is busy, not dead; 401 and a wrong server are misconfigured and heal by themselves; what was
///   unpublished comes back after `/v1/models` and a real request.
///
/// The shell sends what it is told to, reports every answer, and calls with ``Event/tick`` at ``nextWake``.
public struct HealthMonitor: Sendable {
    /// What it is judged by; another reload, other settings.
    public var settings: Settings
    var stage = Stage.waiting
    /// Why it is not to be published, once said; nil while nothing speaks against it.
    var trouble: Trouble?
    var troubleSince: Instant
    var lanes = Lanes()
    var nextID: UInt64 = 1
    var actions: [Action] = []

    var plan = WarmupPlan()
    /// What the server lists; of a server without `/v1/models` what is configured.
    public internal(set) var models: [ModelCard] = []

    // Evidence of life, and of work that waits for it.
    var lastEvidence: Instant
    var inflight = 0
    var lastByte: Instant?
    /// Since when work has been waiting; nil while there is none.
    var awaitingSince: Instant?
    /// What `/metrics` said last; nil where it says nothing, or has been silent for long.
    public internal(set) var counters: EngineCounters?
    var countersAt: Instant?
    var window = EngineWindow()
    /// The first of the scrapes that all say the same.
    var stillSince: Instant?
    var restartsSeen: [Instant] = []
    var tokensPerSecond = 0.0

    // Requests.
    var failedRequestsSince: Instant?
    var failedRequests = 0
    /// Failures after `hang_after` had passed.
    var lateFailures = 0
    var lastRequestEnd: Instant?
    var requestPause = Duration.zero
    /// When a request last proved that it works.
    var provenAt: Instant?
    /// Set when a request is wanted at once, whatever the schedule says.
    var wantsRequest = false
    /// Whether the last request could not tell (busy, 400, no route).
    var cannotTell = false

    // Death, as vLLM itself says it.
    var deathByHealth: Instant?
    var deathByRequest: Instant?
    var suspectedAt: Instant?

    /// A monitor that waits for ``Event/began``.
    public init(settings: Settings, at now: Instant) {
        self.settings = settings
        troubleSince = now
        lastEvidence = now
    }

    /// How far the run is.
    enum Stage: Sendable {
        /// Nothing began. Next: seeking, steady.
        case waiting
        /// `/v1/models` is asked for. Next: warming, steady.
        case seeking
        /// It listens; a real request is awaited. Next: steady, seeking, condemned.
        case warming
        /// It was warm once. Next: condemned.
        case steady
        /// Given up; silent for ever.
        case condemned
    }

    /// What speaks against publishing.
    enum Trouble: Sendable, Hashable {
        case unhealthy(String)
        case unreachable(String)
        case misconfigured(String)

        var conclusion: HealthConclusion {
            switch self {
            case .unhealthy(let reason): return .unhealthy(reason)
            case .unreachable(let reason): return .unreachable(reason)
            case .misconfigured(let reason): return .misconfigured(reason)
            }
        }

        func isSameKind(as other: Trouble) -> Bool {
            switch (self, other) {
            case (.unhealthy, .unhealthy), (.unreachable, .unreachable), (.misconfigured, .misconfigured): return true
            default: return false
            }
        }
    }

    /// Takes what happened and says what is to be done, in order.
    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        guard stage != .condemned else { return [] }
        switch event {
        case .began: begin(at: now)
        case .adopted(let models): adopt(models, at: now)
        case .answered(let id, let result): answered(id, result.outcome, at: now)
        case .activity(let inflight, let lastByte): activity(inflight: inflight, lastByte: lastByte, at: now)
        case .suspected: suspected(at: now)
        case .endpointChanged: endpointChanged(at: now)
        case .tick: break
        }
        expireAnswers(at: now)
        sendDueProbes(at: now)
        defer { actions = [] }
        return actions
    }

    private mutating func begin(at now: Instant) {
        guard stage == .waiting else { return }
        stage = .seeking
        lanes.models.due = now
    }

    private mutating func adopt(_ adopted: [ModelCard], at now: Instant) {
        guard stage == .waiting else { return }
        stage = .steady
        models = adopted
        lastEvidence = now
        askEverything(at: now)
        wantsRequest = settings.warmup == .auto
    }

    private mutating func activity(inflight: Int, lastByte: Instant?, at now: Instant) {
        self.inflight = max(0, inflight)
        if let lastByte, lastByte > self.lastByte ?? Instant(nanoseconds: 0) {
            self.lastByte = lastByte
            sawLife(at: min(lastByte, now), now: now)
        }
        updateAwaiting(at: now)
    }

    private mutating func suspected(at now: Instant) {
        guard stage == .steady || stage == .warming else { return }
        suspectedAt = now
        lanes.models.due = now
        lanes.health.due = now
    }

    private mutating func endpointChanged(at now: Instant) {
        guard stage != .waiting else { return }
        for kind in ProbeKind.allCases { lanes[kind].forget() }
        counters = nil
        countersAt = nil
        stillSince = nil
        lanes.models.due = now
        if stage != .seeking {
            askEverything(at: now)
            wantsRequest = settings.warmup == .auto
            lanes.request.due = now
        }
    }

    mutating func askEverything(at now: Instant) {
        lanes.models.due = now
        lanes.health.due = now
        lanes.metrics.due = now
    }

    mutating func conclude(_ conclusion: HealthConclusion) { actions.append(.conclude(conclusion)) }

    /// Says what is wrong, once for each kind of trouble.
    mutating func enter(_ new: Trouble, at now: Instant) {
        if let trouble, trouble.isSameKind(as: new) {
            self.trouble = new
            return
        }
        if trouble == nil { troubleSince = now }
        trouble = new
        provenAt = nil
        lanes.models.successes = 0
        // Whoever answers there next may count from the beginning.
        if case .unreachable = new { counters = nil }
        conclude(new.conclusion)
    }

    /// Launched: gives the run up. Attached: leaves it unhealthy.
    mutating func condemn(_ reason: String, at now: Instant) {
        enter(.unhealthy(reason), at: now)
        guard settings.kind == .launched else { return }
        stage = .condemned
        for kind in ProbeKind.allCases {
            lanes[kind].outstanding = nil
            lanes[kind].due = nil
        }
        conclude(.condemned(reason))
    }
}
