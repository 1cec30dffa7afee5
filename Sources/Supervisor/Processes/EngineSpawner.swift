import Dispatch
import Fleet
import Glibc
import Logging
import Synchronization

/// Starts real engines: leftovers ended, GPUs allotted and free, version found, cgroup and log made, the trampoline
/// spawned.
public final class EngineSpawner: Spawner {
    /// What a spawner is made of.
    public struct Setup: Sendable {
        /// Where state, sockets and logs are.
        public var directories: Directories
        /// The executable whose main calls ``Trampoline/runIfAsked(_:)`` first: `/proc/self/exe`, resolved.
        public var executable: String
        /// The daemon's own environment, from which engines' is made.
        public var environment: [String: String]
        /// Names beside the known ones that engines must not inherit: variables that keys were read from.
        public var withheld: Set<String> = []
        /// The soft limit of open files at the daemon's start, before it raised its own.
        public var openFiles: UInt64?
        /// Engines' `oom_score_adj`: they are to be chosen before the supervisor; nil leaves the inherited one.
        public var oomScore: Int? = 100
        /// How trees are held together.
        public var trees: ProcessTrees
        /// The GPUs.
        public var gpus: any GPUInventory = NoGPUs()
        /// Where output is forwarded to.
        public var sink: any LogSink = NoLogSink()
        /// For what goes wrong without stopping anything.
        public var logger: Logger

        /// A setup.
        public init(
            directories: Directories, executable: String, environment: [String: String], trees: ProcessTrees,
            logger: Logger
        ) {
            self.directories = directories
            self.executable = executable
            self.environment = environment
            self.trees = trees
            self.logger = logger
        }
    }

    /// With less left on the disk, a run's log goes elsewhere.
    static let leastRoom: UInt64 = 16 << 20
    /// How long a start waits for GPU memory before it is put off.
    static let memoryPatience: Duration = .seconds(60)
    /// How long processes of an earlier life may take to die.
    static let leftoverPatience: Duration = .seconds(20)

    let setup: Setup
    let context: EngineContext
    let versions = EngineVersions()
    let gate = LaunchGate()
    private let queues = Mutex<[String: DispatchQueue]>([:])

    /// A spawner. Asks the inventory for its devices: not for an actor.
    public init(_ setup: Setup) {
        self.setup = setup
        let directories = setup.directories
        context = EngineContext(
            directories: directories,
            files: InstanceFiles(directories),
            logs: RunLogs(folder: directories.logs), ports: PortAllocator(),
            gpus: GPUAllocator(devices: setup.gpus.devices()), inventory: setup.gpus, path: setup.environment["PATH"],
            sink: setup.sink, logger: setup.logger)
    }

    /// Where logs are while the state directory takes none.
    var spareLogs: RunLogs { RunLogs(folder: "\(setup.directories.runtime)/logs") }

    /// How trees are held together.
    var trees: ProcessTrees { setup.trees }

    /// How trees are held together, for status.
    public var treesDescription: String { setup.trees.description }

    /// How many may read weights at one time; 0 is no limit.
    public func limitStarts(to limit: Int) async { await context.gpus.limitStarts(to: limit) }

    /// See ``Spawner/lastRun(of:)``.
    public func lastRun(of instance: String) -> UInt64 { context.files.lastRun(instance) }

    /// Ends everything that an earlier life left of instances that are not in use (``InstancePlan/key``), and forgets it. For
    /// the daemon's start, and for `stoker sweep` with no names at all. Returns sentences about what could not be ended.
    public func sweep(keeping names: Set<String>) async -> [String] {
        var problems: [String] = []
        var found = Set(context.files.names() + setup.trees.existingNames())
        // Without cgroups a lost record leaves nothing but a log.
        if case .session = setup.trees.kind {
            let instances = Set(names.map(InstancePlan.name(ofKey:)))
            found.formUnion(Set(SystemFile.names(in: context.logs.folder)).subtracting(instances))
        }
        found.subtract(names)
        for name in found.sorted() {
            if let problem = await endLeftovers(of: name) { problems.append(problem) }
        }
        return problems
    }

    /// The queue on which an instance's blocking work is done, one run after another.
    func queue(_ instance: String) -> DispatchQueue {
        queues.withLock { queues in
            if let queue = queues[instance] { return queue }
            let queue = DispatchQueue(label: "stoker.instance.\(instance)")
            queues[instance] = queue
            return queue
        }
    }

    /// Runs blocking work on an instance's queue.
    func blocking<Value: Sendable>(_ instance: String, _ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue(instance).async { continuation.resume(returning: work()) }
        }
    }
}
