import CLinux
import Fleet
import Glibc
import Logging

/// Keeps one gateway process running: starts it with the listening sockets, starts another when it ends, and ends it
/// at last. Clients wait in the sockets' queues meanwhile.
public actor GatewayKeeper {
    /// The process that runs at present; nil between two.
    public private(set) var pid: Int32?
    /// How often it was started again.
    public private(set) var restarts = 0
    /// How the last one ended.
    public private(set) var lastExit: GatewayExit?

    private let order: GatewayLaunchOrder
    private let launcher: any GatewayLauncher
    private let registry: Registry
    private let logger: Logger
    private var isEnding = false
    private var backoff = GatewayBackoff()
    private var ended: [CheckedContinuation<Void, Never>] = []

    private let build: String
    private let recordPath: String

    /// A keeper that has not started anything yet.
    ///
    /// - Parameters:
    ///   - build: As `stoker version` prints it: a gateway of another build is replaced, not adopted.
    ///   - recordPath: Where a successor of this supervisor finds the gateway.
    public init(
        order: GatewayLaunchOrder, build: String, recordPath: String, launcher: any GatewayLauncher,
        registry: Registry, logger: Logger
    ) {
        self.order = order
        self.build = build
        self.recordPath = recordPath
        self.launcher = launcher
        self.registry = registry
        self.logger = logger
    }

    /// The sockets that every gateway of this keeper gets.
    nonisolated var listeners: [ListeningSocket] { order.listeners }

    /// The addresses that were really bound, in configuration's words.
    public nonisolated var addresses: [String] { order.listeners.map(\.address.description) }

    /// Takes over the predecessor's gateway where it is of this build and has these sockets; otherwise starts one, and
    /// lets the old one's streams end. Throws when a gateway cannot be started at all.
    func start(after predecessor: GatewayPredecessor?) async throws(DaemonFailure) {
        if let record = predecessor?.record {
            let isFit = record.build == build && record.loops == order.loops
            if isFit, predecessor?.holds(order.listeners) == true {
                logger.notice("took over the running gateway", metadata: ["pid": "\(record.pid)"])
                await follow(record.pid)
                return
            }
            logger.notice("the gateway of an earlier life is replaced", metadata: ["pid": "\(record.pid)"])
            await registry.gatewayStarted(pid: record.pid)
            launcher.signal(SIGTERM, to: record.pid)
            Task {
                _ = await launcher.exit(of: record.pid)
                await registry.gatewayExited(pid: record.pid)
            }
        }
        try await launch()
    }

    private func launch() async throws(DaemonFailure) {
        let pid = try launcher.launch(order)
        GatewayPredecessor.keep(pid: pid, order: order, build: build, at: recordPath)
        logger.info("gateway started", metadata: ["pid": "\(pid)"])
        await follow(pid)
    }

    private func follow(_ pid: Int32) async {
        self.pid = pid
        await registry.gatewayStarted(pid: pid)
        let began = Instant.now()
        Task {
            let exit = await launcher.exit(of: pid)
            await self.exited(pid: pid, exit: exit, began: began)
        }
    }

    private func exited(pid: Int32, exit: GatewayExit, began: Instant) async {
        self.pid = nil
        lastExit = exit
        await registry.gatewayExited(pid: pid)
        if isEnding {
            for waiter in ended { waiter.resume() }
            ended = []
            return
        }
        let pause = backoff.pause(afterLiving: Instant.now() - began)
        restarts += 1
        logger.error(
            "gateway ended without being asked; another is started",
            metadata: ["pid": "\(pid)", "exit": "\(exit)", "pause_seconds": "\(pause.seconds)"])
        if pause > .zero { try? await Task.sleep(for: pause) }
        while !isEnding {
            do {
                try await launch()
                return
            } catch {
                logger.error("gateway cannot be started", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Ends the gateway: its streams may go on for `grace`, then it is killed.
    public func end(grace: Duration) async {
        isEnding = true
        guard let pid else { return }
        await registry.retireGateway(pid: pid, deadline: grace)
        launcher.signal(SIGTERM, to: pid)
        let killer = Task {
            try await Task.sleep(for: grace + .seconds(2))
            launcher.signal(SIGKILL, to: pid)
        }
        if self.pid != nil { await withCheckedContinuation { ended.append($0) } }
        killer.cancel()
    }

    /// Kills the gateway so that it is replaced: a loop of it has stopped turning.
    public func replace() {
        if let pid { launcher.signal(SIGKILL, to: pid) }
    }
}

/// Pauses between gateways: none after a long life, doubling from 50 ms to 5 s while they die young.
struct GatewayBackoff: Sendable, Hashable {
    private var pause: Duration = .zero

    mutating func pause(afterLiving life: Duration) -> Duration {
        guard life < .seconds(10) else {
            pause = .zero
            return .zero
        }
        defer { pause = pause == .zero ? .milliseconds(50) : min(pause * 2, .seconds(5)) }
        return pause
    }
}
