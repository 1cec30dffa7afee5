import Fleet
import Health
import Logging

/// The one writer of an instance: everyone else sends it events and reads its records.
///
/// It decides nothing. It feeds the machines (``Lifecycle`` or ``AttachedLifecycle``, `HealthMonitor`, `StartProgress`)
/// with what happens and the time, and performs what they say. Whatever takes time is a task that sends its outcome
/// back as an event; nothing here blocks, so an exit is told to the registry as soon as it is seen.
public actor InstanceOwner {
    /// The machine of this instance's kind.
    enum Machine {
        case launched(Lifecycle, LaunchConfiguration)
        case attached(AttachedLifecycle, AttachConfiguration)
    }

    /// What comes back from tasks and threads, in order.
    enum Input: Sendable {
        case server(UInt64, ServerEvent)
        case launch(UInt64, Result<any LaunchedServer, LaunchFailure>)
        case adoption(UInt64, AdoptedServer?)
        case cleaned(UInt64, Postmortem)
        case probed(UInt64, UInt64, HTTPProbeResult)
        case resolved(Int, Resolution)
    }

    /// What leaves, in order: who waits for a command hears of its end when the record that tells of it was taken.
    private enum Output: Sendable {
        case record(InstanceRecord)
        case answer(CheckedContinuation<ControlFailure?, Never>, ControlFailure?)
    }

    /// What the machines are to be told, in order; performing an action may add to it.
    enum Pending {
        case launched(Lifecycle.Event)
        case attached(AttachedLifecycle.Event)
        case health(HealthMonitor.Event)
    }

    /// What it is to be.
    public internal(set) var plan: InstancePlan
    /// The instance's name.
    public nonisolated let name: String
    var services: InstanceServices

    var machine: Machine
    var monitor: HealthMonitor?
    var monitorRun: UInt64 = 0
    var progress: StartProgress?
    var server: (any LaunchedServer)?
    var launchTask: Task<Void, Never>?
    var lastExit: ProcessEnd?
    var usage: TreeUsage?
    var usageAt: Instant?
    /// How many processors the tree used between the last two looks.
    var processors: Double?
    /// What the witnesses said when they were asked no more.
    var lastWords = ""
    var inflight = 0
    var hasListened = false
    /// What gateways route to the last run of an earlier life by.
    var inherited: InstanceEntry?
    /// What the program that this one took the place of knew.
    var memory: InstanceMemory?

    // Attached only.
    var endpoint: Endpoint?
    var retiredEndpoints: [UInt64: Endpoint] = [:]
    var isResolving = false
    /// Whether what it is to be reached at has changed and was not looked up yet.
    var isMoved = false
    /// Tells a look-up of an earlier address from one of this.
    var addressing = 0
    var resolveAt: Instant?
    var isUnreachable = false

    private var pending: [Pending] = []
    private var isFeeding = false
    private var waiters: [UInt64: CheckedContinuation<ControlFailure?, Never>] = [:]
    private var nextWaiter: UInt64 = 1
    var timer: (wake: Instant, task: Task<Void, Never>)?
    var lastRecordAt: Instant?
    var isDirty = false
    var loggedState: InstanceState?
    /// Milliseconds from the monotonic clock to the wall clock.
    var wallDistance: Int64 = 0
    var isOver = false

    nonisolated let inbox: AsyncStream<Input>.Continuation
    private nonisolated let outbox: AsyncStream<Output>.Continuation
    private let publisher: Task<Void, Never>

    /// An owner; nothing happens before ``begin(wanted:)``.
    ///
    /// - Parameters:
    ///   - plan: What the instance is to be.
    ///   - services: The outside worlds.
    ///   - sink: Takes a record at every transition, in their order.
    ///   - earlierRuns: Numbers up to this one were used by another owner of the instance.
    public init(plan: InstancePlan, services: InstanceServices, sink: any InstanceSink, earlierRuns: UInt64 = 0) {
        self.plan = plan
        name = plan.name
        self.services = services
        let now = services.clock.now()
        switch plan.provider.source {
        case .launched(let launch):
            // The name takes part: two instances that fall together do not rise together.
            var hasher = Hasher()
            hasher.combine(plan.name)
            let lastRun = earlierRuns > 0 ? earlierRuns : services.spawner.lastRun(of: plan.name)
            var lifecycle = Lifecycle(
                instance: plan.name, restart: launch.restart, timeouts: launch.timeouts,
                lastRun: earlierRuns > 0 ? earlierRuns : plan.leftRun ?? lastRun,
                seed: services.seed ^ UInt64(bitPattern: Int64(hasher.finalize())), at: now)
            lifecycle.earlierRuns = lastRun
            machine = .launched(lifecycle, launch)
        case .attached(let attach):
            machine = .attached(AttachedLifecycle(instance: plan.name, at: now), attach)
        }
        let (inputs, inbox) = AsyncStream.makeStream(of: Input.self)
        let (outputs, outbox) = AsyncStream.makeStream(of: Output.self)
        self.inbox = inbox
        self.outbox = outbox
        publisher = Task {
            for await output in outputs {
                switch output {
                case .record(let record): await sink.record(record)
                case .answer(let waiter, let failure): waiter.resume(returning: failure)
                }
            }
        }
        Task { [weak self] in
            for await input in inputs {
                guard let self else { return }
                await self.receive(input)
            }
        }
    }

    deinit {
        inbox.finish()
        outbox.finish()
        timer?.task.cancel()
    }

    // MARK: what others may ask

    /// Begins: takes the instance over where an earlier life of the daemon left it running, else starts it; where it is not
    /// wanted, leaves it stopped. An attached one is reached in any case.
    ///
    /// - Parameters:
    ///   - inherited: What gateways that outlived the earlier supervisor route to this instance by.
    ///   - memory: What the program that this one took the place of knew about it.
    public func begin(wanted: Bool, inherited: InstanceEntry? = nil, memory: InstanceMemory? = nil) {
        self.inherited = inherited
        self.memory = memory
        switch machine {
        case .launched(var lifecycle, let launch):
            if let memory {
                lifecycle.remember(memory)
                machine = .launched(lifecycle, launch)
            }
            feed(.launched(.begin(wanted: wanted)))
        case .attached: feed(.attached(.begin))
        }
    }

    /// Does what a person asks, and returns when it is done.
    ///
    /// - Throws: ``ControlFailure`` where it cannot be done, with what to do instead, or was tried and failed.
    public func act(_ command: OperatorCommand) async throws(ControlFailure) {
        let failure = await wait { waiter in
            switch self.machine {
            case .launched: self.feed(.launched(.command(command, waiter: waiter)))
            case .attached: self.feed(.attached(.command(command, waiter: waiter)))
            }
        }
        if let failure { throw failure }
    }

    /// Takes what the registry tells about a run of this instance.
    public func registry(_ event: RegistryEvent) {
        switch event {
        case .confirmed(let run):
            guard run.instance == plan.name else { return }
            feed(isLaunched ? .launched(.confirmed(run.run)) : .attached(.confirmed(run.run)))
        case .drained(let run):
            guard run.instance == plan.name else { return }
            feed(isLaunched ? .launched(.drained(run.run)) : .attached(.drained(run.run)))
        case .activity(let run, let inflight, let lastByte):
            guard run.instance == plan.name, run.run == self.run else { return }
            if self.inflight != inflight { isDirty = true }
            self.inflight = inflight
            feed(.health(.activity(inflight: inflight, lastByte: lastByte)))
        case .suspected(let run, let reason):
            guard run.instance == plan.name, run.run == self.run else { return }
            feed(.health(.suspected(reason)))
        }
    }

    /// Unpublishes, drains within its bounds, ends the tree, and returns when nothing of it is left (or when SIGKILL
    /// does not end it). Nothing can be asked of the instance afterwards.
    public func shutdown() async {
        _ = await wait { waiter in
            switch self.machine {
            case .launched: self.feed(.launched(.shutdown(waiter: waiter)))
            case .attached: self.feed(.attached(.shutdown(waiter: waiter)))
            }
        }
        guard !isOver else { return }
        isOver = true
        timer?.task.cancel()
        timer = nil
        outbox.finish()
        await publisher.value
        inbox.finish()
    }

    /// What would be lost with this process; nil of an attached one.
    var bequest: InstanceMemory? {
        guard case .launched(let lifecycle, _) = machine else { return nil }
        var memory = lifecycle.memory
        memory.logRead = server?.logRead
        return memory
    }

    /// Ends the drain of a shutdown or a stop: what is in flight is not waited for any longer.
    public func hurry() { feed(isLaunched ? .launched(.hurry) : .attached(.hurry)) }

    /// The present status.
    public var status: InstanceStatus { makeRecord().status }

    /// The present record, as it was or will be given to the sink.
    public var record: InstanceRecord { makeRecord() }

    // MARK: feeding the machines

    var isLaunched: Bool {
        if case .launched = machine { return true }
        return false
    }

    var run: UInt64 {
        switch machine {
        case .launched(let lifecycle, _): return lifecycle.run
        case .attached(let lifecycle, _): return lifecycle.run
        }
    }

    /// Tells a machine what happened and performs what it says, and whatever follows from that.
    func feed(_ event: Pending) {
        pending.append(event)
        guard !isFeeding else { return }
        isFeeding = true
        while !pending.isEmpty {
            let event = pending.removeFirst()
            let now = services.clock.now()
            switch event {
            case .launched(let event): feedLaunched(event, now)
            case .attached(let event): feedAttached(event, now)
            case .health(let event): feedHealth(event, now)
            }
        }
        isFeeding = false
        arm()
    }

    private func feedLaunched(_ event: Lifecycle.Event, _ now: Instant) {
        guard case .launched(var lifecycle, let launch) = machine else { return }
        let actions = lifecycle.handle(event, at: now)
        machine = .launched(lifecycle, launch)
        for action in actions { perform(action, lifecycle, launch, now) }
    }

    private func feedAttached(_ event: AttachedLifecycle.Event, _ now: Instant) {
        guard case .attached(var lifecycle, let attach) = machine else { return }
        let actions = lifecycle.handle(event, at: now)
        machine = .attached(lifecycle, attach)
        for action in actions { perform(action, lifecycle, attach, now) }
    }

    private func feedHealth(_ event: HealthMonitor.Event, _ now: Instant) {
        guard let actions = monitor?.handle(event, at: now) else { return }
        for action in actions { perform(action) }
    }

    // MARK: records and waiters

    /// Gives the present record to the sink.
    func emit(_ now: Instant) {
        lastRecordAt = now
        isDirty = false
        let record = makeRecord()
        if loggedState != record.status.state {
            loggedState = record.status.state
            services.logger.info(
                "an instance changed its state",
                metadata: [
                    "instance": "\(plan.name)", "run": "\(record.status.run)",
                    "state": "\(record.status.state.rawValue)",
                    "reason": "\(record.status.reason)",
                ])
        }
        outbox.yield(.record(record))
    }

    private func wait(_ begin: (UInt64) -> Void) async -> ControlFailure? {
        let waiter = nextWaiter
        nextWaiter += 1
        return await withCheckedContinuation { continuation in
            waiters[waiter] = continuation
            begin(waiter)
        }
    }

    func answer(_ waiter: UInt64, _ failure: ControlFailure?) {
        guard let continuation = waiters.removeValue(forKey: waiter) else { return }
        // After the last record nothing leaves any more.
        if case .terminated = outbox.yield(.answer(continuation, failure)) { continuation.resume(returning: failure) }
    }
}
