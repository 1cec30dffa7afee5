import CLinux
import Fleet
import Glibc
import Logging

/// Keeps one gateway process serving: starts it with the listening sockets, starts another when it ends or when there is
/// a new program, and ends all of them at last. Clients wait in the sockets' queues meanwhile.
///
/// It decides nothing: ``GatewaySuccession`` does.
public actor GatewayKeeper {
    /// How long a new one may take until it serves.
    static let patience: Duration = .seconds(15)
    /// Who lives longer does not belong to a crash loop.
    static let settled: Duration = .seconds(10)

    /// The process that takes clients at present; nil between two.
    public var pid: Int32? { succession.current }
    /// How often it was started again without being asked to.
    public private(set) var restarts: Int
    /// How the last one ended that was not asked to, in words.
    public private(set) var lastExit: String?

    private(set) var order: GatewayLaunchOrder
    private let launcher: any GatewayLauncher
    private let registry: Registry
    private let logger: Logger
    private let build: String
    private let record: StateFile
    private var succession = GatewaySuccession()
    private var records: [Int32: GatewayPredecessor.Record] = [:]
    private var isEnding = false
    private var isFrozen = false
    private var isSpawning = false
    private var backoff = GatewayBackoff()
    private var pause: Duration = .zero
    private var ended: [CheckedContinuation<Void, Never>] = []
    /// Those in a row that ended within ``settled``.
    private var diedYoung = 0
    private var currentBegan: Instant?
    private var heavy: Set<Int32> = []
    /// Why none can be started at present.
    private var launchProblem: String?

    /// A keeper that has not started anything yet.
    ///
    /// - Parameters:
    ///   - build: As `stoker version` prints it.
    ///   - restarts: How often it was started again before this program took over.
    ///   - record: Where a successor of this supervisor finds the gateways.
    init(
        order: GatewayLaunchOrder, build: String, restarts: Int = 0, record: StateFile,
        launcher: any GatewayLauncher, registry: Registry, logger: Logger
    ) {
        self.order = order
        self.build = build
        self.restarts = restarts
        self.record = record
        self.launcher = launcher
        self.registry = registry
        self.logger = logger
    }

    /// The sockets that a gateway gets.
    var listeners: [ListeningSocket] { order.listeners }

    /// The addresses that were really bound, in configuration's words.
    public var addresses: [String] { order.listeners.map(\.address.description) }

    /// Whether the one that serves is the one that is wanted.
    var isCurrent: Bool { succession.current != nil && succession.successor == nil && !succession.isOutdated }

    /// Gateways that were replaced and still have streams.
    var old: [Int32] { succession.old }

    /// Takes over the predecessor's gateway where it is of this program and has these sockets; otherwise starts one, and
    /// lets the old one's streams end. Throws when a gateway cannot be started at all.
    func start(after predecessor: GatewayPredecessor?) async throws(DaemonFailure) {
        let isFit = predecessor?.isFit(order) ?? true
        for record in predecessor?.all ?? [] {
            records[record.pid] = record
            await follow(record.pid)
        }
        let actions = succession.handle(
            .begin(
                current: predecessor?.record?.pid, isFit: isFit, successor: predecessor?.successor?.pid,
                old: predecessor?.old.map(\.pid) ?? []))
        if let pid = succession.current {
            logger.notice(
                isFit ? "took over the running gateway" : "the gateway of an earlier life is replaced",
                metadata: ["pid": "\(pid)"])
        }
        if let pid = succession.successor { watchUntilServing(pid) }
        for action in actions {
            // The first one has to come up; those after it are tried again.
            if case .launch = action, succession.current == nil { try await launch() } else { await perform(action) }
        }
    }

    /// Replaces the gateway by one of another order: other sockets, other loops.
    func renew(_ order: GatewayLaunchOrder) async {
        self.order = order
        await feed(.renew)
    }

    /// Waits, within bounds, until the one that is wanted serves, or has to wait for room.
    func settle(within patience: Duration) async {
        let deadline = Instant.now() + patience
        while !isCurrent, succession.old.count < GatewaySuccession.mostOld, Instant.now() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Starts none from now on, and returns when none is being started: the process is about to be another program. Or
    /// does so again.
    func freeze(_ isFrozen: Bool) async {
        self.isFrozen = isFrozen
        while isFrozen, isSpawning { try? await Task.sleep(for: .milliseconds(2)) }
    }

    // MARK: What the succession says

    private func feed(_ event: GatewaySuccession.Event) async {
        for action in succession.handle(event) { await perform(action) }
        keepRecord()
    }

    private func perform(_ action: GatewaySuccession.Action) async {
        switch action {
        case .retire(let pid):
            logger.notice("a gateway retires: its streams go on to their end", metadata: ["pid": "\(pid)"])
            launcher.signal(SIGTERM, to: pid)
        case .kill(let pid): launcher.signal(SIGKILL, to: pid)
        case .launch(let again): Task { await self.launch(again: again) }
        }
    }

    private func launch(again: Bool) async {
        if again, pause > .zero { try? await Task.sleep(for: pause) }
        while isFrozen { try? await Task.sleep(for: .milliseconds(50)) }
        guard !isEnding else { return }
        do {
            try await launch()
        } catch {
            launchProblem = "\(error)"
            logger.error("gateway cannot be started", metadata: ["error": "\(error)"])
            try? await Task.sleep(for: .seconds(1))
            await feed(.launchFailed)
        }
    }

    private func launch() async throws(DaemonFailure) {
        isSpawning = true
        defer { isSpawning = false }
        let pid = try launcher.launch(order)
        launchProblem = nil
        records[pid] = GatewayPredecessor.Record(pid: pid, order: order, build: build)
        logger.info("gateway started", metadata: ["pid": "\(pid)"])
        await follow(pid)
        await feed(.launched(pid))
        if succession.successor == pid { watchUntilServing(pid) }
    }

    private func follow(_ pid: Int32) async {
        await registry.gatewayStarted(pid: pid)
        let began = Instant.now()
        currentBegan = began
        Task {
            let exit = await launcher.exit(of: pid)
            await self.exited(pid: pid, exit: exit, began: began)
        }
    }

    private func watchUntilServing(_ pid: Int32) {
        Task {
            let serves = await registry.serves(pid, within: Self.patience)
            if !serves {
                logger.error(
                    "a new gateway does not come to serve; the one before it goes on", metadata: ["pid": "\(pid)"])
            }
            await self.feed(serves ? .serving(pid) : .stuck(pid))
        }
    }

    private func exited(pid: Int32, exit: GatewayExit, began: Instant) async {
        let wasOld = succession.old.contains(pid)
        records[pid] = nil
        let life = Instant.now() - began
        await registry.gatewayExited(pid: pid)
        if isEnding {
            _ = succession.handle(.exited(pid))
            if records.isEmpty {
                for waiter in ended { waiter.resume() }
                ended = []
            }
            return
        }
        if wasOld {
            logger.info("a retired gateway has ended", metadata: ["pid": "\(pid)", "exit": "\(exit)"])
        } else {
            pause = backoff.pause(afterLiving: life)
            diedYoung = life < Self.settled ? diedYoung + 1 : 0
            let why = heavy.contains(pid) ? ", as it held too much memory" : ""
            lastExit = "\(exit) after \(Lifecycle.seconds(life))\(why)"
            restarts += 1
            logger.error(
                "gateway ended without being asked; another is started", metadata: ["pid": "\(pid)", "exit": "\(exit)"])
        }
        heavy.remove(pid)
        await feed(.exited(pid))
    }

    /// What is wrong with gateways as such; nil while all is well.
    func trouble(at now: Instant) -> String? {
        if let launchProblem { return "no gateway can be started, it is tried again: \(launchProblem)" }
        guard diedYoung >= 3 else { return nil }
        if let currentBegan, pid != nil, now - currentBegan >= Self.settled {
            diedYoung = 0
            return nil
        }
        let last = lastExit ?? "unknown"
        return "the gateway ended \(diedYoung) times in a row soon after its start (\(last)); it is started again "
            + "after \(Lifecycle.seconds(pause)): the journal has its last words"
    }

    /// Replaces a gateway that holds more memory than it may: another one takes its turn, and its streams go on. One that
    /// holds half as much again, retired or not, is killed.
    ///
    /// - Parameter resident: What a process holds, in bytes.
    func weigh(against ceiling: UInt64, resident: (Int32) -> UInt64?) async {
        var isTooHeavy = false
        for pid in records.keys {
            guard let bytes = resident(pid), bytes > ceiling else { continue }
            let metadata: Logger.Metadata = ["pid": "\(pid)", "mebibytes": "\(bytes >> 20)"]
            if bytes > ceiling + ceiling / 2 {
                logger.error("a gateway holds far more memory than it may and is killed", metadata: metadata)
                heavy.insert(pid)
                launcher.signal(SIGKILL, to: pid)
            } else if pid == succession.current, isCurrent, heavy.insert(pid).inserted {
                logger.warning("a gateway holds more memory than it may and is replaced", metadata: metadata)
                isTooHeavy = true
            }
        }
        if isTooHeavy { await feed(.renew) }
    }

    /// Keeps what a successor of this supervisor needs.
    private func keepRecord() {
        guard let current = succession.current.flatMap({ records[$0] }) else { return }
        GatewayPredecessor.keep(
            current, successor: succession.successor.flatMap { records[$0] },
            old: succession.old.compactMap { records[$0] }, in: record)
    }

    // MARK: The end

    /// Ends every gateway: streams may go on for `grace`, then they are killed.
    public func end(grace: Duration) async {
        isEnding = true
        guard !records.isEmpty else { return }
        for pid in records.keys {
            await registry.retireGateway(pid: pid, deadline: grace)
            launcher.signal(SIGTERM, to: pid)
        }
        let killer = Task {
            try await Task.sleep(for: grace + .seconds(2))
            for pid in records.keys { launcher.signal(SIGKILL, to: pid) }
        }
        if !records.isEmpty { await withCheckedContinuation { ended.append($0) } }
        killer.cancel()
    }

    /// Kills the gateway so that it is replaced: a loop of it has stopped turning.
    public func replace() {
        if let pid { launcher.signal(SIGKILL, to: pid) }
    }
}

/// Pauses between gateways: none after a life of a second, doubling from 50 ms to 5 s while they die before: clients wait
/// in the sockets' queues meanwhile, so that a pause is worse than a start too many.
struct GatewayBackoff: Sendable, Hashable {
    /// Who ends earlier is followed after a pause.
    static let youth: Duration = .seconds(1)

    private var pause: Duration = .zero

    mutating func pause(afterLiving life: Duration) -> Duration {
        guard life < Self.youth else {
            pause = .zero
            return .zero
        }
        defer { pause = pause == .zero ? .milliseconds(50) : min(pause * 2, .seconds(5)) }
        return pause
    }
}
