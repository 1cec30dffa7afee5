import Fleet

@testable import Health

/// An imagined server, and a monitor that probes it in virtual time.
struct MonitorScript {
    /// How the server reacts to one kind of probe.
    enum Reply: Equatable {
        case answer(Int, String, after: Duration)
        case silence
        case failure(HTTPProbeResult.Failure)

        static func answer(_ status: Int, _ body: String = "") -> Reply {
            .answer(status, body, after: .milliseconds(5))
        }
    }

    static let list = #"{"object":"list","data":[{"id":"org/m","object":"model","root":"org/m","parent":null}]}"#
    static let token = #"{"choices":[{"text":" a","finish_reason":"length"}],"usage":{"completion_tokens":1}}"#
    static let notFound = #"{"detail":"Not Found"}"#

    var monitor: HealthMonitor
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let began: Instant
    var models = Reply.failure(.refused)
    var health = Reply.failure(.refused)
    /// nil: the text of the counters below.
    var metrics: Reply?
    var request = Reply.failure(.refused)
    /// Replies to requests by path, before `request`.
    var requests: [String: Reply] = [:]
    var iterations = 100.0
    var running = 0.0
    var hasCounters = true
    var awake = 1.0
    /// Steps of the engine a second.
    var stepping = 0.0

    var sent: [(at: Instant, order: HealthMonitor.ProbeOrder)] = []
    var conclusions: [HealthConclusion] = []
    var concludedAt: [Instant] = []
    private var pending: [(at: Instant, id: UInt64, outcome: HTTPProbeResult.Outcome)] = []

    init(
        _ kind: ProviderKind = .launched, warmup: LaunchConfiguration.Warmup = .auto, configured: [String] = [],
        expected: [String] = [], change: (inout HealthConfiguration) -> Void = { _ in }
    ) {
        var configuration = HealthConfiguration()
        change(&configuration)
        monitor = HealthMonitor(
            settings: HealthMonitor.Settings(
                kind: kind, configuration: configuration, warmup: warmup, configuredModels: configured,
                expectedIds: expected), at: now)
        began = now
    }

    /// A server that is ready, watched until it is warm.
    static func warm(
        _ kind: ProviderKind = .launched, warmup: LaunchConfiguration.Warmup = .auto,
        change: (inout HealthConfiguration) -> Void = { _ in }
    ) -> MonitorScript {
        var script = MonitorScript(kind, warmup: warmup, change: change)
        script.comeUp()
        script.tell(.began)
        script.run(for: .seconds(1))
        script.conclusions = []
        script.concludedAt = []
        return script
    }

    mutating func comeUp() {
        models = .answer(200, Self.list)
        health = .answer(200)
        request = .answer(200, Self.token)
        metrics = nil
    }

    mutating func goDown() {
        models = .failure(.refused)
        health = .failure(.refused)
        metrics = .failure(.refused)
        request = .failure(.refused)
    }

    /// The engine's process does not run: its front end answers what it knows, and makes nothing.
    mutating func hangEngine() {
        request = .silence
        stepping = 0
    }

    /// Nothing answers, everything is accepted.
    mutating func freeze() {
        models = .silence
        health = .silence
        metrics = .silence
        request = .silence
        stepping = 0
    }

    var elapsed: Double { (now - began).seconds }
    var lastConclusion: HealthConclusion? { conclusions.last }
    func count(_ kind: HealthMonitor.ProbeKind) -> Int { sent.count { $0.order.kind == kind } }

    var isCondemned: Bool { conclusions.contains { if case .condemned = $0 { true } else { false } } }

    mutating func tell(_ event: HealthMonitor.Event) { perform(monitor.handle(event, at: now)) }

    /// Lets time pass; whatever is due happens when it is due.
    mutating func run(for duration: Duration) {
        let end = now + duration
        while true {
            let answer = pending.map(\.at).min()
            let wake = monitor.nextWake
            guard let next = [answer, wake].compactMap({ $0 }).min(), next <= end else { break }
            advance(to: max(next, now))
            if let index = pending.indices.filter({ pending[$0].at <= now }).min(by: { pending[$0].at < pending[$1].at }) {
                let due = pending.remove(at: index)
                deliver(due.id, due.outcome)
            } else {
                tell(.tick)
                if let again = monitor.nextWake, again <= now, !pending.contains(where: { $0.at <= now }) {
                    fatalError("the monitor spins at \(elapsed) s")
                }
            }
        }
        advance(to: end)
    }

    /// Runs until something is concluded, for at most so long.
    mutating func runToConclusion(within limit: Duration) -> HealthConclusion? {
        let before = conclusions.count
        let end = now + limit
        while conclusions.count == before, now < end { run(for: .milliseconds(20)) }
        return conclusions.count > before ? conclusions[before] : nil
    }

    private mutating func deliver(_ id: UInt64, _ outcome: HTTPProbeResult.Outcome) {
        tell(.answered(id, HTTPProbeResult(outcome: outcome, began: now, elapsed: .zero)))
    }

    private mutating func advance(to moment: Instant) {
        iterations += stepping * (moment - now).seconds
        now = moment
    }

    private mutating func perform(_ actions: [HealthMonitor.Action]) {
        for action in actions {
            switch action {
            case .conclude(let conclusion):
                conclusions.append(conclusion)
                concludedAt.append(now)
            case .probe(let order):
                sent.append((now, order))
                answer(order)
            }
        }
    }

    private mutating func answer(_ order: HealthMonitor.ProbeOrder) {
        let reply: Reply
        switch order.kind {
        case .models: reply = models
        case .health: reply = health
        case .metrics: reply = metrics ?? .answer(200, metricsText)
        case .request:
            reply = requests[order.path] ?? request
            if case .answer(200, _, _) = reply, stepping >= 0 { iterations += 1 }
        }
        switch reply {
        case .silence: pending.append((now + order.timeout, order.id, .failure(.timedOut)))
        case .failure(let failure): pending.append((now + .milliseconds(1), order.id, .failure(failure)))
        case .answer(let status, let body, let delay):
            if delay > order.timeout {
                pending.append((now + order.timeout, order.id, .failure(.timedOut)))
            } else {
                pending.append((now + delay, order.id, .answer(status: status, body: Array(body.utf8))))
            }
        }
    }

    private var metricsText: String {
        guard hasCounters else { return "# nothing\n" }
        return """
            vllm:iteration_tokens_total_count{engine="0"} \(iterations.rounded())
            vllm:generation_tokens_total{engine="0"} \((iterations * 2).rounded())
            vllm:num_requests_running{engine="0"} \(running)
            vllm:num_requests_waiting{engine="0"} 0.0
            vllm:engine_sleep_state{engine="0",sleep_state="awake"} \(awake)
            vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 0.0

            """
    }
}

extension HealthConclusion {
    /// The case without its words.
    var name: String {
        switch self {
        case .listening: return "listening"
        case .warm: return "warm"
        case .healthy: return "healthy"
        case .modelsChanged: return "modelsChanged"
        case .unhealthy: return "unhealthy"
        case .unreachable: return "unreachable"
        case .misconfigured: return "misconfigured"
        case .condemned: return "condemned"
        }
    }
}
