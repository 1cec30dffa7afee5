import Fleet
import FoundationEssentials
import Glibc
import Health
import Logging

/// The supervisor as a whole: puts configuration, registry, gateway, instances, admin side and systemd together, and
/// keeps them so until it is told to stop. It is never in a request's path.
public actor Daemon {
    let options: Options
    let source: ConfigurationSource
    let state: StateDirectory
    let registry: Registry
    let chronicle: Chronicle
    let relay = ChatRelay()
    let registryServer: RegistryServer
    let keeper: GatewayKeeper
    var services: InstanceServices
    let spawner: EngineSpawner
    let accepted: AcceptedConfiguration
    var wishes: OperatorWishes
    let memories: InstanceMemories
    /// What the program before this one knew of each instance, in its own words or by the file that it has kept.
    var earlierMemories: [String: InstanceMemory]
    /// Instances' numbers in socket names that servers of an earlier life may still listen by.
    let earlierNumbers: [String: Int]
    let prober: CurlProber
    let predecessor: GatewayPredecessor?
    let attachmentStore: AttachmentStore
    let notifier: any NotifySocket
    let logger: Logger
    let began = Instant.now()

    var configuration: Configuration
    var attachments: [String: AttachmentStore.Attachment]
    /// Names of those that are on their way out.
    var detaching: Set<String> = []
    var owners: [String: InstanceOwner] = [:]
    /// Which of an instance's owners each one is; the newer has the higher number.
    var generations: [String: Int] = [:]
    var lastGeneration = 0
    /// Instances that are being replaced.
    var replacers: [String: Replacer] = [:]
    /// Their new owners, before those are the instances'.
    var pending: [String: (owner: InstanceOwner, generation: Int)] = [:]
    var plans: [String: InstancePlan] = [:]
    var notices: [String] = []
    /// Notices that stand until something is mended; they are in STATUS, too.
    var standing: [StandingNotice: String] = [:]
    /// What the program that this one took the place of has given it.
    let handover: Handover?
    /// The configuration's text that is in charge.
    var acceptedText: Handover.Accepted?
    let openFiles: UInt64?
    /// Whether something that an earlier life started ran when this one began.
    let goesOn: Bool
    /// Whether what is configured is to be applied yet: what runs was taken over as it is.
    var isBehind = false
    /// See ``AcceptedConfiguration/earlierConfigurations(of:)``.
    var earlierConfigurations: [Configuration] = []
    var lastReload: ReloadStatus?
    var isReloading = false
    /// Grows with every reload that is asked for: an earlier one makes way.
    var reloadsAsked = 0
    var reloadWaiters: [CheckedContinuation<Void, Never>] = []
    var revision: UInt64 = 0
    /// When readiness last changed.
    var readySince = SystemClock().wallMilliseconds()
    /// The gateway's restarts that are in the timeline.
    var gatewayRestarts = 0
    /// The GPUs as they were a moment ago.
    var gpus: [GPUStatus] = []
    var reporter: SystemdReporter
    var pulse: GatewayPulse
    var isStopping = false
    /// What is logged waits here to be written.
    var pump: LogPump?
    /// Seconds that have been ticked.
    var ticks = 0
    /// Whether systemd did not take what it was told last.
    var isUnheard = false
    private var wasReady = false
    var admin: AdminServer?
    private static let signals = [SIGTERM, SIGINT, SIGHUP]

    /// Takes signals from now on. To be called on the first thread, before there are others.
    public static func takeSignals() { Signals.take(signals) }

    /// Runs the daemon until it is told to stop; returns the exit code.
    public static func run(_ options: Options) async -> Int32 {
        let destination = DaemonLog.destination(environment: options.environment)
        let pump = DaemonLog.pump(destination)
        LoggingSystem.bootstrap { DaemonLog.handler(destination, label: $0, pump: pump) }
        defer { pump.flush(within: .seconds(1)) }
        let logger = Logger(label: "stoker")
        umask(0o077)
        SpareDescriptor.prepare()
        var options = options
        let handover = Handover.take(from: &options.environment)
        if let unread = handover?.signals { Signals.repeatUnread(unread) }
        let openFiles = handover.flatMap(\.openFiles) ?? OpenFiles.raise()
        signal(SIGPIPE, SIG_IGN)
        let signals = Signals.stream(of: signals)
        let source = ConfigurationSource(option: options.configurationPath, environment: options.environment)
        let accepted = AcceptedConfiguration(source.directories)
        let doubts = StateInspection(source.directories).run()
        for doubt in doubts { logger.error("\(doubt)") }
        // In the middle of a reload the earlier configuration is in charge first; the difference is applied as ever.
        var loaded = handover?.configuration(of: source) ?? source.load()
        for problem in loaded.problems { writeLine("\(problem)") }
        var isBehind = false
        if handover == nil, let kept = accepted.inCharge(insteadOf: loaded, of: source) {
            loaded = kept
            isBehind = true
        }
        guard let configuration = loaded.configuration ?? accepted.configurationInNeed(of: source) else {
            writeLine("stoker: the configuration cannot be used; 'stoker check' shows this list too")
            return 2
        }
        do {
            let daemon = try await Daemon(
                options: options, source: source, configuration: configuration,
                state: StateDirectory(source.directories, lock: handover?.lock), accepted: accepted,
                handover: handover, openFiles: openFiles, logger: logger)
            await daemon.began(with: loaded, isBehind: isBehind, doubts: doubts, pump: pump)
            return try await daemon.serve(signals)
        } catch let failure as DaemonFailure {
            writeLine("stoker: \(failure)")
            return failure.exitCode
        } catch {
            writeLine("stoker: \(error)")
            return 1
        }
    }

    private init(
        options: Options, source: ConfigurationSource, configuration: Configuration, state: StateDirectory,
        accepted: AcceptedConfiguration, handover: Handover?, openFiles: UInt64?, logger: Logger
    ) async throws {
        self.handover = handover
        self.openFiles = openFiles
        self.options = options
        self.source = source
        self.configuration = configuration
        self.state = state
        self.accepted = accepted
        goesOn = handover != nil || accepted.isSomethingLeft
        wishes = OperatorWishes(state.directories)
        let memoryFile = StateFile("memories.json", in: state.directories)
        // Where nothing is left of it, that life is over.
        earlierMemories = handover?.instances ?? (goesOn ? InstanceMemories.read(memoryFile) : [:])
        memories = InstanceMemories(memoryFile, earlier: earlierMemories)
        self.logger = logger
        notifier = SystemdNotifySocket()
        attachmentStore = AttachmentStore(state.directories)
        attachments = attachmentStore.load()
        pulse = GatewayPulse(at: began)
        reporter = SystemdReporter(
            watchdog: options.environment["WATCHDOG_USEC"].flatMap(Int64.init).map { .microseconds($0) },
            isReadySent: handover?.isReadySent ?? false, at: began)

        let gatewayRecord = StateFile("gateway.json", in: state.directories)
        predecessor = GatewayPredecessor.find(gatewayRecord)
        let listeners = try Self.sockets(
            for: configuration.listen,
            InheritedSockets(handedOver: handover?.gatewaySockets ?? [], predecessor: predecessor))
        registry = Registry(
            configuration: configuration, epoch: state.epoch,
            store: KnownModelsStore(path: "\(state.directories.state)/known-models.json", logger: logger),
            logger: logger)
        chronicle = Chronicle(path: "\(state.directories.state)/load-times.json")
        registryServer = try await RegistryServer(
            path: state.directories.registrySocket, registry: registry, logger: logger)
        keeper = GatewayKeeper(
            order: GatewayLaunchOrder(
                executable: ExecutableFile.running, listeners: listeners,
                registryPath: state.directories.registrySocket,
                loops: configuration.gateway.loops, environment: Self.gatewayEnvironment(options.environment)),
            build: options.version, restarts: handover?.gatewayRestarts ?? 0, record: gatewayRecord,
            launcher: PosixGatewayLauncher(), registry: registry, logger: logger)
        prober = CurlProber(threadName: "stoker-probes")
        var setup = EngineSpawner.Setup(
            directories: state.directories, executable: ExecutableFile.running,
            environment: configuration.inheritedEnvironment(from: options.environment),
            trees: ProcessTrees.detect(runtime: state.directories.runtime), logger: logger)
        setup.openFiles = openFiles
        setup.gpus = NVML.ofThisMachine()
        setup.sink = EngineOutput(logger: logger)
        spawner = EngineSpawner(setup)
        earlierNumbers = spawner.earlierNumbers()
        logger.info("trees of processes", metadata: ["kept_by": "\(spawner.treesDescription)"])
        services = InstanceServices(spawner: spawner, prober: prober, health: configuration.health, logger: logger)
    }

    /// Tries again for the admin side's addresses that others have had.
    func retryAdmin() async {
        guard let admin, await !admin.missing.isEmpty else { return }
        await admin.retry()
        let missing = await admin.missing.map(\.reason)
        await tell(.admin, missing.isEmpty ? nil : missing.joined(separator: "; "))
    }

    /// Keeps a configuration that was accepted; goes on by an earlier one where this one was not, and says so.
    private func began(
        with loaded: ConfigurationSource.Loaded, isBehind: Bool, doubts: [String], pump: LogPump
    ) {
        self.pump = pump
        self.isBehind = isBehind
        if goesOn { earlierConfigurations = accepted.earlierConfigurations(of: source) }
        notices += doubts
        if let why = spawner.trees.whyNoCgroups {
            let what = "servers are kept by session and /proc, not by cgroup (\(why))"
            stand(.trees, "\(what): a process that leaves both is not found")
        }
        if let problem = state.problems.first { stand(.state, Self.stateNotice(problem, state.directories)) }
        if let number = handover?.reload {
            isReloading = true
            lastReload = reloadStatus(number, .running, "version \(options.version) takes over")
            _ = reporter.reloading(at: .now())
        }
        guard loaded.configuration == nil else { return keep(loaded) }
        acceptedText = accepted.text.map { Handover.Accepted(file: loaded.file ?? "", text: $0) }
        logger.error("the configuration is invalid; the last accepted one goes on", metadata: [:])
        stand(.configuration, AcceptedConfiguration.notice(loaded.file))
    }

    /// Keeps a configuration that was accepted.
    func keep(_ loaded: ConfigurationSource.Loaded) {
        accepted.keep(loaded)
        acceptedText = loaded.text.map { Handover.Accepted(file: loaded.file ?? "", text: $0) }
    }

    /// Says something until it is mended; nil when it is.
    func stand(_ kind: StandingNotice, _ text: String?) {
        standing[kind] = text
        let texts = standing.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        reporter.notice = texts.isEmpty ? nil : texts.joined(separator: "; ")
    }

    private func serve(_ signals: AsyncStream<Int32>) async throws -> Int32 {
        let serving = Task { [registryServer] in try? await registryServer.run() }
        defer { serving.cancel() }
        // What a gateway that lived on routes by is known before any instance is looked for, and before that gateway is
        // replaced where it does not fit any more.
        if let pid = predecessor?.record?.pid {
            await registry.gatewayStarted(pid: pid)
            await registry.greeting(of: pid, within: .seconds(1))
        }
        try await keeper.start(after: predecessor)
        for listener in await keeper.listeners { notifier.store(listener.descriptor, name: "gateway") }
        do {
            try await startAdmin()
        } catch {
            // A gateway that serves already is not ours to end because we cannot begin.
            if predecessor == nil { await keeper.end(grace: .zero) }
            throw error
        }
        let addresses = configuration.listen.map(\.description).joined(separator: ", ")
        logger.info("stoker runs", metadata: ["version": "\(options.version)", "gateway": "\(addresses)"])
        await finishEarlierStop()
        dropClashingAttachments()
        await spawner.limitStarts(to: configuration.startsAtOnce)
        for provider in configuration.providers { await add(provider) }
        await restoreAttachments()
        // Whoever comes to have the name of one that is gone begins anew.
        for name in earlierMemories.keys where plans[name] == nil { memories.forget(name) }
        earlierMemories = [:]
        // Of what a person has stopped nothing shall run.
        let keys = Set(plans.filter { wishes[$0.key] != .stop }.values.map(\.key))
        Task { await self.endLeftovers(keeping: keys) }
        let watching = Task { for await _ in await self.registry.changes() { await self.registryChanged() } }
        let sampling = Task {
            while !Task.isCancelled {
                await self.sample()
                try? await Task.sleep(for: MinuteHistory.step)
            }
        }
        if let number = handover?.reload {
            Task { await self.finishReload(number) }
        } else if isBehind {
            Task { await self.catchUp() }
        }
        let ticking = Task {
            while !Task.isCancelled {
                await self.tick()
                try? await Task.sleep(for: .seconds(1))
            }
        }
        var stop: Task<Void, Never>?
        let finished = AsyncStream.makeStream(of: Void.self)
        let signalling = Task {
            for await signal in signals {
                if signal == SIGHUP {
                    // It may take as long as a model's load; a stop does not wait for it.
                    Task { await self.reloadBySignal() }
                } else if stop == nil {
                    stop = Task {
                        await self.stop(because: signal == SIGINT ? "SIGINT" : "SIGTERM")
                        finished.continuation.finish()
                    }
                } else {
                    await self.hurry()
                }
            }
        }
        for await _ in finished.stream {}
        signalling.cancel()
        watching.cancel()
        ticking.cancel()
        sampling.cancel()
        await admin?.stop()
        prober.shutdown()
        unlink(registryServer.path)
        StopMark(state.directories).clear()
        wishes.clear()
        memories.clear()
        logger.info("stoker has stopped")
        return 0
    }

    /// Beside engines that run, what is wrong with a token or an address is no reason not to look after them: it is said,
    /// and the Unix socket does.
    private func startAdmin() async throws {
        let token: AdminToken
        do throws(AdminToken.Failure) {
            token = try adminToken(of: configuration)
        } catch {
            guard goesOn else { throw DaemonFailure(error.description) }
            logger.error("\(error)")
            stand(.token, "\(error); until the next reload only \(state.directories.adminSocket) takes commands")
            token = .nobodys()
        }
        let server = AdminServer(
            control: self, token: token, addresses: configuration.admin.listen,
            socketPath: state.directories.adminSocket, logger: logger)
        do {
            try await server.start(inherited: handover?.adminSockets ?? [], isPatient: goesOn)
        } catch let failure as ListeningSocket.Failure {
            throw DaemonFailure(failure.description)
        }
        admin = server
        let missing = await server.missing.map(\.reason)
        if !missing.isEmpty { stand(.admin, missing.joined(separator: "; ")) }
    }

    /// The admin token that a configuration asks for, read anew.
    func adminToken(of configuration: Configuration) throws(AdminToken.Failure) -> AdminToken {
        try AdminToken.load(
            file: configuration.admin.tokenFile, stateDirectory: state.directories.state,
            masterKey: configuration.masterKey)
    }

    // MARK: Readiness and systemd

    func registryChanged() async {
        revision += 1
        let readiness = await registry.readiness
        let isMoving = await registry.records.contains { $0.isOnItsWay }
        if readiness.isReady != wasReady {
            wasReady = readiness.isReady
            readySince = SystemClock().wallMilliseconds()
            chronicle.note(.readiness, (readiness.isReady ? "ready: " : "not ready any more: ") + readiness.reason)
            logger.notice(
                readiness.isReady ? "ready" : "not ready any more", metadata: ["reason": "\(readiness.reason)"])
        }
        notify(reporter.readiness(readiness, isMoving: isMoving, at: .now()))
    }
}

/// A line to stderr, for what is said before and beside the log.
func writeLine(_ text: String) {
    var line = text + "\n"
    _ = line.withUTF8 { write(2, $0.baseAddress, $0.count) }
}
