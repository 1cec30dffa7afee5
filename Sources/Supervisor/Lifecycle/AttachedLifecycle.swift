import Fleet
import Health

/// One attached instance: a server that someone else runs. A pure machine like ``Lifecycle``, with the one difference
/// that matters: its ``Action`` has no way to start, signal or kill anything.
public struct AttachedLifecycle: Sendable {
    /// What can happen to it.
    public enum Event: Sendable, Hashable {
        /// The daemon has begun.
        case begin
        /// A person asks; only drain and undrain are possible.
        case command(OperatorCommand, waiter: UInt64)
        /// The daemon ends, or the instance is detached: unpublish, drain, answer.
        case shutdown(waiter: UInt64)
        /// Whoever drains for an end is not waited for any longer.
        case hurry
        /// Its name stands for another address than before, or for the first one.
        case addressed
        /// Its name cannot be resolved; the sentence says why.
        case unresolved(String)
        /// What the witnesses say.
        case health(UInt64, HealthConclusion)
        /// Every living gateway routes to this run.
        case confirmed(UInt64)
        /// No living gateway has anything in flight on this run any more.
        case drained(UInt64)
        /// Time has passed: see ``AttachedLifecycle/nextWake``.
        case tick
    }

    /// What is to be done, in this order.
    public enum Action: Sendable, Hashable {
        /// Tell the registry.
        case record
        /// Begin to ask for health, at the newest address.
        case beginHealth(UInt64)
        /// Ask no more.
        case endHealth
        /// Resolve its name now, not at the next interval.
        case resolve
        /// The waiter's command is done (nil) or failed.
        case answer(UInt64, ControlFailure?)
    }

    /// After this long without an answer, waiting for it does not help the daemon's readiness.
    public static let settledAfter: Duration = .seconds(30)

    /// The instance's name.
    public let instance: String
    let drainTimeout: Duration

    /// The state: connecting, ready, unhealthy, misconfigured or draining.
    public private(set) var state: InstanceState = .connecting
    /// When the state was entered.
    public private(set) var since: Instant
    /// Why it is in this state.
    public private(set) var reason = "not reached yet"
    /// Grows when its address is another one: another server, as far as counts and drains go. 0 before the first.
    public private(set) var run: UInt64 = 0
    /// Runs at earlier addresses on which something may still be in flight.
    public private(set) var retired: [UInt64] = []
    /// Whether the operator took it out of routing.
    public private(set) var isHeld = false
    /// Whether the gateway shall route to it.
    public private(set) var isOffered = false
    /// What it serves.
    public private(set) var models: [ModelCard] = []
    /// The last time it failed.
    public private(set) var lastFailure: FailureNote?
    /// Whether it is on its way out for good.
    public private(set) var isFinal = false

    private var works = false
    private var isDrained = true
    private var hasEnded = false
    private var settleAt: Instant?
    private var drainDeadline: Instant?
    private var drainWaiters: [UInt64] = []
    private var undrainWaiters: [UInt64] = []
    private var endWaiters: [UInt64] = []

    /// A server that was not asked yet.
    public init(instance: String, drain: Duration = .seconds(60), at now: Instant) {
        self.instance = instance
        drainTimeout = drain
        since = now
        settleAt = now + Self.settledAfter
    }

    /// When ``handle(_:at:)`` wants a tick.
    public var nextWake: Instant? { [settleAt, drainDeadline].compactMap { $0 }.min() }

    /// Whether waiting can help no more.
    public var isSettled: Bool {
        switch state {
        case .misconfigured, .draining: return true
        case .connecting, .unhealthy: return settleAt == nil
        default: return false
        }
    }

    /// Takes an event and says what to do, in order.
    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .begin: actions += [.record, .resolve]
        case .command(let command, let waiter): take(command, waiter, now, &actions)
        case .shutdown(let waiter):
            isFinal = true
            isOffered = false
            endWaiters.append(waiter)
            if drainDeadline == nil, !hasEnded { drainDeadline = now + drainTimeout }
            enter(.draining, "the daemon ends or it was detached", now, &actions)
            actions.append(.endHealth)
        case .hurry: if isFinal { finish() }
        case .addressed: addressed(now, &actions)
        case .unresolved(let why):
            // Whoever answers at the old address goes on being asked.
            if run == 0, !isFinal { enter(.connecting, why, now, &actions) }
        case .health(let run, let conclusion):
            if run == self.run, !isFinal { concluded(conclusion, now, &actions) }
        case .confirmed(let run):
            if run == self.run, isOffered, works, state != .ready { enter(.ready, "serving", now, &actions) }
        case .drained(let run): drained(run, &actions)
        case .tick: tick(now, &actions)
        }
        wakeWaiters(&actions)
        return actions
    }

    private mutating func addressed(_ now: Instant, _ actions: inout [Action]) {
        guard !isFinal else { return }
        if run > 0, !isDrained { retired.append(run) }
        run += 1
        works = false
        isOffered = false
        isDrained = true
        models = []
        enter(
            .connecting, run == 1 ? "being reached for the first time" : "its name stands for another address", now,
            &actions)
        actions.append(.beginHealth(run))
    }

    private mutating func concluded(_ conclusion: HealthConclusion, _ now: Instant, _ actions: inout [Action]) {
        switch conclusion {
        case .listening(let models):
            self.models = models
            reason = "answers; a real request is being tried"
            actions.append(.record)
        case .warm(let models), .healthy(let models):
            self.models = models
            works = true
            settleAt = nil
            offer(now, &actions)
        case .modelsChanged(let models):
            self.models = models
            actions.append(.record)
        case .unreachable(let why):
            lose(.connecting, kind: "unreachable", why, now, &actions)
            actions.append(.resolve)
        case .unhealthy(let why), .condemned(let why): lose(.unhealthy, kind: "health", why, now, &actions)
        case .misconfigured(let why): lose(.misconfigured, kind: "misconfigured", why, now, &actions)
        }
    }

    private mutating func lose(
        _ next: InstanceState, kind: String, _ why: String, _ now: Instant, _ actions: inout [Action]
    ) {
        if works { settleAt = now + Self.settledAfter }
        if works || state != next || lastFailure?.fault.detail != why {
            lastFailure = FailureNote(at: now, run: run, fault: Fault(kind: kind, detail: why))
        }
        works = false
        isOffered = false
        enter(next, why, now, &actions)
    }

    private mutating func offer(_ now: Instant, _ actions: inout [Action]) {
        if isHeld {
            enter(.draining, "works; drained by the operator", now, &actions)
            return
        }
        if !isOffered {
            isOffered = true
            isDrained = false
            reason = "works; the gateway's confirmation is awaited"
        }
        actions.append(.record)
    }

    private mutating func drained(_ run: UInt64, _ actions: inout [Action]) {
        if let index = retired.firstIndex(of: run) {
            retired.remove(at: index)
            actions.append(.record)
        } else if run == self.run, !isOffered, !isDrained {
            isDrained = true
            if state == .draining { reason = "drained; nothing is in flight" }
            actions.append(.record)
        }
    }

    private mutating func take(
        _ command: OperatorCommand, _ waiter: UInt64, _ now: Instant, _ actions: inout [Action]
    ) {
        guard !isFinal else {
            actions.append(.answer(waiter, .refused("\(instance) is being detached or the daemon ends")))
            return
        }
        switch command {
        case .start, .stop, .restart:
            let hint = "it runs elsewhere and is never started or signalled from here; drain or detach it instead"
            actions.append(.answer(waiter, .refused("\(instance) is attached: \(hint)")))
        case .drain:
            isHeld = true
            isOffered = false
            drainWaiters.append(waiter)
            if works { enter(.draining, "drained by the operator", now, &actions) } else { actions.append(.record) }
        case .undrain:
            guard isHeld else {
                actions.append(.answer(waiter, .refused("\(instance) is not drained")))
                return
            }
            isHeld = false
            if works {
                undrainWaiters.append(waiter)
                offer(now, &actions)
            } else {
                actions += [.record, .answer(waiter, nil)]
            }
        }
    }

    private mutating func tick(_ now: Instant, _ actions: inout [Action]) {
        if let deadline = settleAt, deadline <= now {
            settleAt = nil
            actions.append(.record)
        }
        if let deadline = drainDeadline, deadline <= now { finish() }
    }

    private mutating func finish() {
        drainDeadline = nil
        hasEnded = true
    }

    /// Answers everyone whose wait is over.
    private mutating func wakeWaiters(_ actions: inout [Action]) {
        if isDrained, retired.isEmpty, isFinal { finish() }
        if hasEnded {
            actions += endWaiters.map { .answer($0, nil) }
            endWaiters = []
        }
        if isFinal || !isHeld {
            let why: ControlFailure = .refused("\(instance) was \(isFinal ? "detached" : "undrained") meanwhile")
            actions += drainWaiters.map { .answer($0, isFinal ? nil : why) }
            drainWaiters = []
        } else if isDrained, !isOffered {
            actions += drainWaiters.map { .answer($0, nil) }
            drainWaiters = []
        }
        if state == .ready {
            actions += undrainWaiters.map { .answer($0, nil) }
            undrainWaiters = []
        } else if isFinal || isHeld || !works {
            actions += undrainWaiters.map { .answer($0, .failed("\(instance) is \(state.rawValue): \(reason)")) }
            undrainWaiters = []
        }
    }

    private mutating func enter(_ state: InstanceState, _ reason: String, _ now: Instant, _ actions: inout [Action]) {
        if self.state != state { since = now }
        self.state = state
        self.reason = reason
        actions.append(.record)
    }
}
