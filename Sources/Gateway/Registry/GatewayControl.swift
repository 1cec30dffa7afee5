import CLinux
import Fleet
import Glibc
import Synchronization

/// The control thread: keeps the registry's socket, makes routing tables for the loops, reports what they counted,
/// and ends the process when it is told to.
final class GatewayControl {
    /// How often is reported, at least, in nanoseconds.
    private static let reportInterval: UInt64 = 1_000_000_000
    /// How long until the registry is dialled again.
    private static let redialInterval: UInt64 = 100_000_000
    /// How long after a snapshot, if no other has come, memory is given back that only snapshots need.
    private static let quietInterval: UInt64 = 1_500_000_000

    private let options: GatewayOptions
    private let signals: Int32
    private let stop: Int32
    private let wake: Int32
    private let shared: Shared
    private let ports: [LoopPort]
    private var threads: [LoopThread] = []
    private var directory: RunDirectory
    private var link = RegistryLink()
    private var table: RoutingTable?
    private var serial: UInt64 = 0
    private var applied: RoutingTable?
    private var busyRuns: Set<InstanceRun> = []
    private var contexts = TLSContexts()
    private var accessLog = AccessLog()
    private var providerNumbers: [String: UInt16] = [:]
    private var providerNames: [String] = ["-"]
    private var modelNumbers: [String: UInt16] = [:]
    private var modelNames: [String] = ["-"]
    private var nextReport: UInt64 = 0
    private var nextDial: UInt64 = 0
    private var releasePagesAt = UInt64.max
    private var retireBy: UInt64?

    /// The control of a worker. `signals` is a signalfd, or -1; `stop` an eventfd that ends everything, or -1.
    init(_ options: GatewayOptions, signals: Int32 = -1, stop: Int32 = -1) {
        self.options = options
        self.signals = signals
        self.stop = stop
        wake = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        let loops = max(1, options.loops)
        ports = (0..<loops).map { _ in LoopPort() }
        shared = Shared(controlWake: wake, loopWakes: ports.map(\.wake))
        directory = RunDirectory(loops: loops)
    }

    /// Runs to the end; returns the exit status.
    func run() -> Int32 {
        for (index, port) in ports.enumerated() {
            let loop = EventLoop(
                index: index, shared: shared, port: port, listeners: options.listeners,
                connectionLimit: Self.connectionLimit(loops: ports.count), patience: options.patience)
            guard let thread = LoopThread(loop) else {
                GatewayLog.error("an event loop's thread could not be started", [("errno", "\(errno)")])
                return 1
            }
            threads.append(thread)
        }
        GatewayLog.info("the gateway has started", [("loops", "\(ports.count)"), ("build", options.build)])
        while !ports.allSatisfy({ $0.isDone.load(ordering: .acquiring) }) { turn() }
        for thread in threads { thread.join() }
        report()
        link.flush()
        link.close()
        close(wake)
        GatewayLog.info("the gateway has ended", [])
        return 0
    }

    private static func connectionLimit(loops: Int) -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let descriptors = Int(min(limit.rlim_cur, 1 << 20))
        return max(16, (descriptors - 64) / 2 / loops)
    }

    private func turn() {
        let now = Instant.now().nanoseconds
        if !link.isOpen, now >= nextDial { dial(now) }
        var polled = [
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
            pollfd(fd: link.descriptor, events: Int16(POLLIN) | (link.wantsToWrite ? Int16(POLLOUT) : 0), revents: 0),
        ]
        let due = link.isOpen ? nextReport : nextDial
        let wait = due > now ? Int32(min(1000, (due - now) / 1_000_000 + 1)) : 0
        poll(&polled, nfds_t(polled.count), wait)
        if polled[0].revents != 0 {
            Shared.drain(wake)
            if table?.snapshot.settings.accessLog != nil { writeAccessLog() }
        }
        if polled[1].revents != 0 { readSignals() }
        if polled[2].revents != 0 { for port in ports { port.order { $0.stop = true } } }
        if polled[3].revents != 0 { readLink() }
        // Looked at before anything is said: who hears that a run is busy may end its last request at once.
        let isNewlyIdle = directory.newlyIdle(&busyRuns)
        confirm()
        if isNewlyIdle || Instant.now().nanoseconds >= nextReport { report() }
        if Instant.now().nanoseconds >= releasePagesAt { releasePages() }
    }

    // MARK: The registry

    private func dial(_ now: UInt64) {
        nextDial = now + Self.redialInterval
        guard link.open(options.registryPath) else { return }
        send(
            .hello(
                GatewayHello(
                    pid: getpid(), build: options.build, listeners: options.listeners.map(\.name),
                    loops: ports.count, applied: applied?.snapshot)))
        if let applied { send(.applied(applied.snapshot.version)) }
        nextReport = 0
    }

    private func send(_ message: GatewayMessage) {
        guard link.isOpen else { return }
        link.send(message)
        if !link.isOpen { lostLink() }
    }

    private func lostLink() {
        GatewayLog.warning("the registry's connection is lost; the gateway goes on with its last snapshot", [])
        nextDial = Instant.now().nanoseconds + Self.redialInterval
    }

    private func readLink() {
        link.flush()
        let messages = link.read()
        for message in messages {
            switch message {
            case .snapshot(let snapshot): take(snapshot)
            case .retire(let deadline): retire(milliseconds: deadline)
            }
        }
        if !link.isOpen { lostLink() }
    }

    /// Hands a newer snapshot to every loop; an older one is ignored.
    private func take(_ snapshot: RegistrySnapshot) {
        if let table, snapshot.version <= table.snapshot.version {
            // The same one again is a new supervisor's way of asking: it is confirmed again.
            if let applied, snapshot.version == applied.snapshot.version { send(.applied(snapshot.version)) }
            return
        }
        serial += 1
        let table = RoutingTableBuilder.build(
            snapshot, serial: serial, directory: &directory, number: { self.number(of: $0) },
            modelNumber: { self.modelNumber(of: $0) },
            tls: { self.contexts.ofServers(roots: $0.caFile, now: Instant.now().nanoseconds) })
        loadCertificate(snapshot.settings)
        self.table = table
        for port in ports { port.order { $0.table = table } }
    }

    /// Makes the listener's certificate what the settings and their files say.
    private func loadCertificate(_ settings: GatewaySettings) {
        let now = Instant.now().nanoseconds
        contexts.sweep(now: now)
        guard let tls = settings.tls else { return shared.listenerTLS.store(0, ordering: .releasing) }
        let context = contexts.ofListener(tls, now: now).map { UInt(bitPattern: $0) } ?? 1
        shared.listenerTLS.store(context, ordering: .releasing)
    }

    /// Writes the lines that the loops have made.
    private func writeAccessLog() {
        let isOpen = accessLog.open(table?.snapshot.settings.accessLog)
        for port in ports {
            let lines = port.lines.withLock { lines in
                let taken = lines
                lines = []
                return taken
            }
            if isOpen, !lines.isEmpty { accessLog.write(lines) }
        }
    }

    /// The number that measurements know a provider by: for the process's life, so names cannot grow without end.
    private func number(of name: String) -> UInt16 {
        if let number = providerNumbers[name] { return number }
        guard providerNames.count < Int(UInt16.max) else { return 0 }
        let number = UInt16(providerNames.count)
        providerNames.append(name)
        providerNumbers[name] = number
        return number
    }

    /// The number that measurements know a model by, for the process's life as well.
    private func modelNumber(of id: String) -> UInt16 {
        if let number = modelNumbers[id] { return number }
        guard modelNames.count < Int(UInt16.max) else { return 0 }
        let number = UInt16(modelNames.count)
        modelNames.append(id)
        modelNumbers[id] = number
        return number
    }

    /// Says so when every loop has switched.
    private func confirm() {
        guard let table, applied !== table else { return }
        let slowest = ports.map { $0.counters.pointee.table.load(ordering: .acquiring) }.min() ?? 0
        guard slowest >= table.serial else { return }
        applied = table
        send(.applied(table.snapshot.version))
        report()
        releasePagesAt = Instant.now().nanoseconds + Self.quietInterval
    }

    /// Starting up, and each snapshot, went through megabytes of code, tables and heap that requests never touch.
    private func releasePages() {
        releasePagesAt = .max
        stoker_release_program_pages()
    }

    // MARK: Reports

    private func report() {
        nextReport = Instant.now().nanoseconds + Self.reportInterval
        if let applied { directory.sweep(applied: applied.serial, now: Instant.now().nanoseconds) }
        if let table { loadCertificate(table.snapshot.settings) }
        writeAccessLog()
        var report = GatewayReport(applied: applied?.snapshot.version)
        var requests: [RequestKey: UInt64] = [:]
        var counters: [String: UInt64] = [:]
        var merger = MeasureMerger(providers: providerNames, models: modelNames)
        for port in ports {
            let counts = port.counters
            report.loopHeartbeats.append(Instant(nanoseconds: counts.pointee.heartbeat.load(ordering: .relaxed)))
            report.inflight += counts.pointee.active.load(ordering: .relaxed)
            report.requestsTotal += counts.pointee.requests.load(ordering: .relaxed)
            counters["upstream_lost", default: 0] += counts.pointee.upstreamLost.load(ordering: .relaxed)
            counters["access_log_dropped", default: 0] += counts.pointee.droppedLines.load(ordering: .relaxed)
            counters["slow_readers", default: 0] += counts.pointee.slowReaders.load(ordering: .relaxed)
            counters["connections", default: 0] += UInt64(counts.pointee.connections.load(ordering: .relaxed))
            counts.pointee.each { provider, route, status, count in
                requests[RequestKey(provider: provider, route: route, status: status), default: 0] += count
            }
            merger.add(port.measures.pointee)
        }
        for (instance, isOpen) in directory.breakers() { counters["breaker_open:\(instance)"] = isOpen ? 1 : 0 }
        report.runs = directory.reports()
        report.counters = counters
        merger.fill(&report)
        report.requests = requests.map { key, count in
            RequestCount(
                provider: providerNames[Int(key.provider)], route: ByteView(key.route.pattern).string,
                status: key.status, count: count)
        }
        send(.report(report))
    }

    private struct RequestKey: Hashable {
        var provider: UInt16
        var route: Route
        var status: Int
    }

    // MARK: The end

    private func readSignals() {
        var info = signalfd_siginfo()
        while Glibc.read(signals, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            if retireBy != nil {
                for port in ports { port.order { $0.stop = true } }
            } else {
                retire(milliseconds: table?.snapshot.settings.drainTimeoutMilliseconds ?? 0)
            }
        }
    }

    private func retire(milliseconds: Int) {
        let deadline = Instant.now().nanoseconds + UInt64(max(0, milliseconds)) * 1_000_000
        guard retireBy == nil else { return }
        retireBy = deadline
        GatewayLog.info("the gateway retires: it accepts no more and lets streams end", [])
        for port in ports { port.order { $0.retireBy = deadline } }
    }
}
