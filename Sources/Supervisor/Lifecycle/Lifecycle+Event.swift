import Fleet
import Health

extension Lifecycle {
    /// What can happen to a launched instance. Events that name a run which is not the present one change nothing.
    public enum Event: Sendable, Hashable {
        /// The daemon has begun: start it when it is wanted, else leave it stopped.
        case begin(wanted: Bool)
        /// As ``begin(wanted:)``, where nothing of an earlier life is to be taken over: another owner of the instance has it.
        case beginAnew
        /// A person asks; the answer goes to the waiter.
        case command(OperatorCommand, waiter: UInt64)
        /// The daemon ends, or the instance is no longer configured: stop for good; the answer goes to the waiter.
        case shutdown(waiter: UInt64)
        /// Whoever drains for an end is not waited for any longer.
        case hurry
        /// The configuration was reloaded: other rules, or the same ones. A failed one is tried again.
        case rules(RestartConfiguration, LaunchTimeouts)
        /// Before it begins: it is to replace another run, and is not offered before its turn.
        case standby
        /// Its turn has come: it is offered as soon as it works.
        case turn
        /// Another run is about to replace it: if it ends it is not started again.
        case superseded
        /// Nothing replaces it after all; the runs up to this one are used up.
        case reinstated(lastRun: UInt64)
        /// The launch waits for something that is nobody's fault: its turn, an old tree's end, GPU memory.
        case waiting(UInt64, String)
        /// The process lives.
        case launched(UInt64, pid: Int32)
        /// The last run of an earlier life of the daemon lives on and was taken over; with the models that gateways
        /// route to it by, nil where they route nothing to it.
        case adopted(UInt64, pid: Int32, published: [ModelCard]?)
        /// The earlier life left nothing that can be taken over.
        case nothingToAdopt(UInt64)
        /// There is no process, and nothing is left of the attempt.
        case launchFailed(UInt64, LaunchFailure)
        /// The head of the tree has exited.
        case exited(UInt64, ProcessEnd)
        /// A process that the server cannot live without has died: `VLLM::EngineCore (pid 4711)`.
        case engineDied(UInt64, String)
        /// The start makes no progress any more; the sentence says since when.
        case stalled(UInt64, String)
        /// What the witnesses say.
        case health(UInt64, HealthConclusion)
        /// Every living gateway routes to this run.
        case confirmed(UInt64)
        /// No living gateway routes to this run any more, and none has anything in flight on it.
        case drained(UInt64)
        /// The whole tree is gone, reaped, and its sockets and shared memory are removed.
        case cleaned(UInt64, Postmortem)
        /// Time has passed: see ``Lifecycle/nextWake``.
        case tick
    }

    /// What is to be done, in this order.
    public enum Action: Sendable, Hashable {
        /// The state, what is published or the reason changed: tell the registry before anything else is done.
        case record
        /// Prepare and launch this run: to be answered by ``Event/launched(_:pid:)`` or
        /// ``Event/launchFailed(_:_:)``, always.
        case launch(UInt64)
        /// Take over the run if an earlier life of the daemon left it running: to be answered by
        /// ``Event/adopted(_:pid:published:)`` or ``Event/nothingToAdopt(_:)``, always.
        case adopt(UInt64)
        /// Give up the launch if it still can be: is answered as ``launch(_:)`` or ``adopt(_:)`` is.
        case cancelLaunch(UInt64)
        /// Begin to ask for health.
        case beginHealth(UInt64)
        /// Go on asking for the health of one that was published in an earlier life: it counts as warm, with these
        /// models, until a witness says otherwise.
        case resumeHealth(UInt64, [ModelCard])
        /// Ask no more.
        case endHealth(UInt64)
        /// SIGTERM, then SIGCONT, to the server.
        case terminate(UInt64)
        /// Kill the whole tree, reap it, remove its sockets and shared memory; save the evidence first where there is
        /// something to explain. To be answered by ``Event/cleaned(_:_:)``, however long it takes.
        case endTree(UInt64, evidence: String?)
        /// The waiter's command is done (nil) or failed.
        case answer(UInt64, ControlFailure?)
    }
}

/// Why there is no process after a launch.
public enum LaunchFailure: Error, Sendable, Hashable {
    /// It was cancelled.
    case cancelled
    /// Nobody's fault, to be tried again without spending budget: GPU memory held by a stranger, an old tree that
    /// does not end.
    case waiting(String)
    /// May work the next time.
    case transient(Fault)
    /// Will never work as it is configured.
    case permanent(Fault, hint: String?)
}

/// A failure in two words and a sentence.
public struct Fault: Error, Sendable, Hashable, Codable {
    /// One of ``kinds``, until a log says better.
    public var kind: String
    /// One sentence: "exit code 1 after 12 s".
    public var detail: String

    /// Every kind that a fault begins with.
    public static let kinds = [
        "exit", "signal", "engine", "hang", "health", "start_stalled", "start_timeout", "launch", "gpus",
    ]

    /// A fault.
    public init(kind: String, detail: String) {
        self.kind = kind
        self.detail = detail
    }
}

/// What the log and the kernel say about a run after its end.
public struct Postmortem: Sendable, Hashable, Codable {
    /// Replaces the fault's kind where something better is known: `gpu_out_of_memory`.
    public var kind: String?
    /// Added to the fault's sentence where something better is known: "out of GPU memory".
    public var cause: String?
    /// The lines of the log that explain it.
    public var lines: [String]
    /// What to do about it.
    public var hint: String?
    /// The file in which more about its end was saved.
    public var evidence: String?
    /// Whether another start can only fail in the same way.
    public var isPermanent: Bool

    /// What is known of an end; nothing by default.
    public init(
        kind: String? = nil, cause: String? = nil, lines: [String] = [], hint: String? = nil, evidence: String? = nil,
        isPermanent: Bool = false
    ) {
        self.kind = kind
        self.cause = cause
        self.lines = lines
        self.hint = hint
        self.evidence = evidence
        self.isPermanent = isPermanent
    }
}

/// A failure as the machines keep it; the shell gives it a wall clock's time.
public struct FailureNote: Sendable, Hashable, Codable {
    /// When it was seen.
    public var at: Instant
    /// In which run.
    public var run: UInt64
    /// What happened.
    public var fault: Fault
    /// What explains it.
    public var postmortem: Postmortem

    /// A failure.
    public init(at: Instant, run: UInt64, fault: Fault, postmortem: Postmortem = Postmortem()) {
        self.at = at
        self.run = run
        self.fault = fault
        self.postmortem = postmortem
    }
}

extension ProcessEnd {
    /// `exit` or `signal`, as ``Fault/kind``.
    var kind: String {
        if case .signal = self { return "signal" }
        return "exit"
    }
}
