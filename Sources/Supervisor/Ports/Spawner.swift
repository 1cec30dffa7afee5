import Fleet
import Health

/// What is to be launched.
public struct LaunchOrder: Sendable, Hashable {
    /// The instance and its configuration.
    public var plan: InstancePlan
    /// The launch's configuration, of the plan's provider.
    public var launch: LaunchConfiguration
    /// The run's number.
    public var run: UInt64

    /// An order.
    public init(plan: InstancePlan, launch: LaunchConfiguration, run: UInt64) {
        self.plan = plan
        self.launch = launch
        self.run = run
    }
}

/// What a launched tree tells, in the order it happens.
public enum ServerEvent: Sendable, Hashable {
    /// The launch waits for something; the sentence names it.
    case waiting(String)
    /// The head has exited and was reaped.
    case exited(ProcessEnd)
    /// A process that the server cannot live without has died: `VLLM::EngineCore (pid 4711)`.
    case engineDied(String)
    /// Another member has gone; helpers come and go, so this only asks for a look.
    case helperDied(String)
    /// New lines of output.
    case lines([String])
    /// What the tree uses, once a second.
    case usage(TreeUsage)
}

/// What a tree's living members use, summed from /proc.
public struct TreeUsage: Sendable, Hashable {
    /// Living members.
    public var processes: Int
    /// Resident memory in bytes.
    public var residentBytes: UInt64
    /// Processor time of user and kernel.
    public var cpu: Duration
    /// Bytes read and written (`rchar`, `wchar`), page cache included.
    public var ioBytes: UInt64

    /// A usage.
    public init(processes: Int = 0, residentBytes: UInt64 = 0, cpu: Duration = .zero, ioBytes: UInt64 = 0) {
        self.processes = processes
        self.residentBytes = residentBytes
        self.cpu = cpu
        self.ioBytes = ioBytes
    }
}

/// A tree of processes that was launched here (or adopted): the handle of one run.
public protocol LaunchedServer: Sendable {
    /// The head's process id.
    var pid: Int32 { get }
    /// Where it will listen.
    var endpoint: Endpoint { get }
    /// The devices it was given: indices or UUIDs.
    var gpus: [String] { get }
    /// The run's log.
    var logPath: String { get }
    /// How far its log was read, in bytes.
    var logRead: Int64 { get }
    /// What holds its tree together: `cgroup …` or `session …`, for status.
    var treeDescription: String { get }
    /// Where ``end(evidence:)`` has saved evidence; nil where it has not.
    var evidencePath: String? { get }
    /// It has read its weights: another one may begin to.
    func weightsAreRead()
    /// Its start is over, one way or the other: the next one on its GPUs may begin.
    func startIsOver()
    /// SIGTERM, then SIGCONT, to the head.
    func terminate()
    /// Saves evidence where there is something to explain, kills the whole tree, reaps it, removes its sockets and
    /// shared memory, and returns when nothing is left, however long that takes.
    func end(evidence: String?) async
    /// The last lines of its log, the whole of it where it is short; after ``end(evidence:)`` nothing is missing.
    func lastLines() -> [String]
    /// A cause of the end that the kernel knows and the log cannot: an OOM kill.
    func kernelCause() -> String?
}

/// Starts engines. One real implementation (the trampoline), one fake in the tests.
public protocol Spawner: Sendable {
    /// Ends what an earlier life left of this instance, waits for its GPUs, starts the run. Never throws and always
    /// returns; when its task is cancelled it returns soon, with ``LaunchFailure/cancelled`` or with a server that
    /// lives. On failure nothing is left.
    ///
    /// - Parameter report: Called from any thread, in order, until the tree has been ended.
    func launch(_ order: LaunchOrder, report: @escaping @Sendable (ServerEvent) -> Void) async
        -> Result<any LaunchedServer, LaunchFailure>
    /// Takes over what an earlier life of the daemon left running of this instance, where it is provably the same
    /// (pid, start time, boot) and was launched by the same configuration; nil where there is nothing to take over.
    ///
    /// - Parameter logRead: How far that life has read the run's log, where it has said so.
    func adopt(
        _ plan: InstancePlan, logRead: Int64?, report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> AdoptedServer?
    /// The number of the last run that was ever launched under this name; 0 for none.
    func lastRun(of instance: String) -> UInt64
}

/// A server that was taken over.
public struct AdoptedServer: Sendable {
    /// Its run, which goes on.
    public var run: UInt64
    /// Its handle.
    public var server: any LaunchedServer

    /// A server that was taken over.
    public init(run: UInt64, server: any LaunchedServer) {
        self.run = run
        self.server = server
    }
}
