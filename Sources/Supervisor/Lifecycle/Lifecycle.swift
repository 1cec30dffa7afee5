import Fleet
import Health

/// One launched instance, from its first start to the daemon's end: a pure machine.
///
/// It is fed events with the time and says what is to be done; it reads no clock, performs nothing and draws no chance
/// but its seed's. ``InstanceOwner`` feeds it and performs what it says. docs/lifecycle.md has the whole table of
/// states and events, printed from this code.
///
/// Three things are kept apart that look alike:
/// - ``goal``: what the operator wants, running or stopped. Only a person, the configuration or the daemon's end changes it.
/// - `ending`: why the present run is on its way out, if it is. What follows the end is decided from both when the
///   tree is gone, never before: so there are never two trees of one instance.
/// - ``isOffered``: whether the gateway is told to route to the run. `ready` is the gateway's confirmation of it.
public struct Lifecycle: Sendable {
    /// What the operator wants.
    public enum Goal: Sendable, Hashable {
        /// It shall run.
        case run
        /// It shall not.
        case stop
    }

    /// Why the present run ends.
    enum Ending: Sendable, Hashable {
        /// A command or the daemon's end.
        case asked
        /// Nobody asked.
        case fault(Fault)
    }

    /// What a waiter waits for.
    enum Expectation: Sendable, Hashable {
        /// It works.
        case running
        /// It is stopped, and nobody started it again.
        case stopped
        /// Nothing is in flight.
        case drained
        /// Its tree is gone, for good.
        case ended
    }

    /// How long a whole tree may take to die of SIGKILL before it is `quarantined`.
    public static let killPatience: Duration = .seconds(20)
    /// Stands before the path of a hang's evidence in a failure's detail.
    static let evidenceMark = "; evidence is in "
    /// How long a server whose engine died may take to say why before its tree is killed.
    public static let engineDeathGrace: Duration = .seconds(2)

    /// The instance's name.
    public let instance: String
    var timeouts: LaunchTimeouts
    var policy: RestartPolicy

    /// The state.
    public internal(set) var state: InstanceState = .stopped
    /// When the state was entered.
    public internal(set) var since: Instant
    /// Why it is in this state, in one sentence.
    public internal(set) var reason = "not started yet"
    /// The present or last run; 0 before the first.
    public internal(set) var run: UInt64
    /// What the operator wants.
    public internal(set) var goal: Goal = .stop
    /// Whether the operator took it out of routing.
    public internal(set) var isHeld = false
    /// Whether the gateway shall route to the present run.
    public internal(set) var isOffered = false
    /// The head process.
    public internal(set) var pid: Int32?
    /// What it serves.
    public internal(set) var models: [ModelCard] = []
    /// The last time it failed.
    public internal(set) var lastFailure: FailureNote?
    /// How often it was started again without being asked to.
    public internal(set) var restarts = 0
    /// The same by the failure's kind: `exit`, `signal`, `hang` …
    public internal(set) var restartsByKind: [String: Int] = [:]
    /// How long the newest start that came to `ready` took; nil before the first, and for one that was taken over.
    public internal(set) var readyAfter: Duration?
    /// Whether it is stopped for good.
    public internal(set) var isFinal = false

    var ending: Ending?
    /// The witnesses' last word: a real request worked, and nothing was said against it since.
    var works = false
    /// When the present run's launch began.
    var startedAt: Instant?
    /// Since when the present run was first ready.
    var readySince: Instant?
    /// Numbers up to this one were used by another owner of this instance.
    var earlierRuns: UInt64 = 0
    /// Whether it waits to be offered until it is told: it is to replace another run of its instance.
    var isStandby = false
    /// Whether another run is about to replace it: it is not started again.
    var isBeingReplaced = false
    /// Since when the run that may be taken over was ready, where the program before this one has said so.
    var rememberedReady: Instant?
    /// Why it was given up in an earlier life of the daemon, and nobody has asked for another start since.
    var rememberedFailure: String?
    /// Nothing is in flight on the present run: true until it is offered for the first time.
    var isDrained = true
    /// The launch or the taking over of the present run has not been answered.
    var isLaunching = false
    /// What is not answered is the taking over.
    var isAdopting = false
    /// It exited before its launch was answered.
    var earlyExit: ProcessEnd?
    /// The present run's tree may still have members.
    var hasTree = false
    /// The tree's killing is under way.
    var isKilling = false

    var startDeadline: Instant?
    var drainDeadline: Instant?
    var stopDeadline: Instant?
    var killDeadline: Instant?
    var backoffUntil: Instant?
    var waiters: [(id: UInt64, expectation: Expectation)] = []

    /// An instance that has not been started.
    ///
    /// - Parameters:
    ///   - lastRun: The number of its last run in an earlier life of the daemon; 0 for none. Never used again.
    ///   - seed: For the jitter of its pauses.
    public init(
        instance: String, restart: RestartConfiguration, timeouts: LaunchTimeouts, lastRun: UInt64 = 0, seed: UInt64,
        at now: Instant
    ) {
        self.instance = instance
        self.timeouts = timeouts
        policy = RestartPolicy(restart, seed: seed)
        run = lastRun
        since = now
    }

    /// When ``handle(_:at:)`` wants a ``Event/tick``; nil when only an event can change anything.
    public var nextWake: Instant? {
        [startDeadline, drainDeadline, stopDeadline, killDeadline, backoffUntil].compactMap { $0 }.min()
    }

    /// Whether waiting can help no more: only a person, a reload or (quarantined, misconfigured) the world changes it.
    public var isSettled: Bool {
        switch state {
        case .stopped: return goal == .stop
        case .failed, .quarantined, .misconfigured: return true
        case .draining: return ending == nil
        default: return false
        }
    }

    /// Whether it will serve before long if all goes well, without anybody's help.
    public var isOnItsWay: Bool {
        guard goal == .run, !isFinal else { return false }
        switch state {
        case .starting, .loading, .warming, .stopping, .backoff: return true
        case .draining: return ending != nil
        case .stopped, .ready, .unhealthy, .failed, .quarantined, .connecting, .misconfigured: return false
        }
    }

    /// Whether a process of the present run may live.
    public var isAlive: Bool { hasTree }

    /// Takes an event and says what to do, in order.
    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .begin(let wanted): begin(wanted, now, &actions)
        case .beginAnew: beginAnew(now, &actions)
        case .command(let command, let waiter): take(command, waiter, now, &actions)
        case .shutdown(let waiter): shutdown(waiter, now, &actions)
        case .rules(let restart, let timeouts): take(restart, timeouts, now, &actions)
        case .standby: isStandby = true
        case .turn: turn(now, &actions)
        case .superseded: isBeingReplaced = true
        case .reinstated(let lastRun): reinstated(lastRun, now, &actions)
        case .hurry: if state == .draining, ending != nil { terminate(nil, now, &actions) }
        case .tick: tick(now, &actions)
        case .waiting(let run, _), .launched(let run, _), .adopted(let run, _, _), .nothingToAdopt(let run),
            .launchFailed(let run, _), .exited(let run, _), .engineDied(let run, _), .stalled(let run, _),
            .health(let run, _), .confirmed(let run), .drained(let run), .cleaned(let run, _):
            guard run == self.run else { break }
            takeOfRun(event, now, &actions)
        }
        wakeWaiters(&actions)
        return actions
    }

    private mutating func takeOfRun(_ event: Event, _ now: Instant, _ actions: inout [Action]) {
        switch event {
        case .waiting(_, let why):
            guard state == .starting, reason != why else { return }
            reason = why
            actions.append(.record)
        case .launched(_, let pid): launched(pid, now, &actions)
        case .adopted(_, let pid, let published): adopted(pid, published, now, &actions)
        case .nothingToAdopt: nothingToAdopt(now, &actions)
        case .launchFailed(_, let failure): launchFailed(failure, now, &actions)
        case .exited(_, let exit): exited(exit, now, &actions)
        case .engineDied(_, let who): engineDied(who, now, &actions)
        case .stalled(_, let why):
            guard ending == nil, hasTree, !works, readySince == nil else { return }
            fail(Fault(kind: "start_stalled", detail: why), evidence: why, now, &actions)
        case .health(_, let conclusion): concluded(conclusion, now, &actions)
        case .confirmed: confirmed(now, &actions)
        case .drained: drained(now, &actions)
        case .cleaned(_, let postmortem): cleaned(postmortem, now, &actions)
        case .begin, .beginAnew, .command, .shutdown, .hurry, .tick, .rules, .standby, .turn, .superseded, .reinstated:
            break
        }
    }

    private mutating func tick(_ now: Instant, _ actions: inout [Action]) {
        if let deadline = backoffUntil, deadline <= now { start("its pause is over", now, &actions) }
        if let deadline = startDeadline, deadline <= now {
            startDeadline = nil
            let detail = "not ready \(Self.seconds(timeouts.startMax)) after its start"
            fail(Fault(kind: "start_timeout", detail: detail), evidence: detail, now, &actions)
        }
        if let deadline = drainDeadline, deadline <= now { terminate(nil, now, &actions) }
        if let deadline = stopDeadline, deadline <= now { kill(evidence: nil, now, &actions) }
        if let deadline = killDeadline, deadline <= now {
            killDeadline = nil
            enter(.quarantined, "SIGKILL has not ended its processes; nothing is started beside them", now, &actions)
        }
    }

    /// Moves to a state; always a record.
    mutating func enter(_ state: InstanceState, _ reason: String, _ now: Instant, _ actions: inout [Action]) {
        if self.state != state { since = now }
        self.state = state
        self.reason = reason
        actions.append(.record)
    }

    static func seconds(_ duration: Duration) -> String {
        let seconds = duration.seconds
        if seconds < 10, seconds != seconds.rounded() { return "\((seconds * 10).rounded() / 10) s" }
        return "\(Int(seconds.rounded())) s"
    }
}
