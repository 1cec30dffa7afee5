import Fleet
import Logging

/// The registry: takes records from instances' owners, publishes snapshots to the gateways, and tells the owners what
/// came of it. ``RegistryReduction`` decides; this actor carries out.
public actor Registry: InstanceSink {
    /// A connected gateway's outgoing messages.
    typealias Outbox = AsyncStream<SupervisorMessage>.Continuation

    private var reduction: RegistryReduction
    private let store: KnownModelsStore
    private let logger: Logger
    private var outboxes: [Int32: (connection: Int, outbox: Outbox)] = [:]
    private var nextConnection = 0
    private var owners: [String: [Int: AsyncStream<RegistryEvent>.Continuation]] = [:]
    private var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
    private var nextWatcher = 0
    private var savedModels: [String: Set<String>]

    /// A registry of a new epoch.
    ///
    /// - Parameters:
    ///   - configuration: what is wanted.
    ///   - epoch: larger than every earlier supervisor's on this state directory.
    ///   - store: where ids that were seen are kept.
    public init(configuration: Configuration, epoch: UInt64, store: KnownModelsStore, logger: Logger) {
        let known = store.load()
        self.store = store
        self.logger = logger
        savedModels = known
        reduction = RegistryReduction(configuration: configuration, epoch: epoch, knownModels: known)
    }

    // MARK: Instances

    /// Where an instance's events go, one after another. Register before the owner's first record.
    ///
    /// - Parameter generation: Tells two owners of one instance apart, of which the one with the higher number is the newer.
    public func register(
        instance: String, generation: Int = 0, owner: @escaping @Sendable (RegistryEvent) async -> Void
    ) {
        let (events, continuation) = AsyncStream.makeStream(of: RegistryEvent.self)
        owners[instance, default: [:]].updateValue(continuation, forKey: generation)?.finish()
        Task { for await event in events { await owner(event) } }
    }

    /// Takes an instance's newest record and publishes at once what of it the gateways route by.
    public func record(_ record: InstanceRecord) async { perform(reduction.record(record)) }

    /// Takes the newest record of one of an instance's owners.
    func record(_ record: InstanceRecord, generation: Int) {
        perform(reduction.record(record, generation: generation))
    }

    /// Forgets an instance that is no longer configured.
    public func forget(instance: String) async { forget(instance: instance, generation: 0) }

    /// Forgets one of an instance's owners.
    func forget(instance: String, generation: Int) {
        owners[instance]?.removeValue(forKey: generation)?.finish()
        if owners[instance]?.isEmpty == true { owners[instance] = nil }
        perform(reduction.forget(instance: instance, generation: generation))
    }

    /// Goes on with another configuration.
    public func configure(_ configuration: Configuration) { perform(reduction.configure(configuration)) }

    // MARK: Gateways

    /// A gateway process runs.
    public func gatewayStarted(pid: Int32) { perform(reduction.gatewayStarted(pid: pid)) }

    /// A gateway process has ended.
    public func gatewayExited(pid: Int32) {
        outboxes.removeValue(forKey: pid)?.outbox.finish()
        perform(reduction.gatewayExited(pid: pid))
    }

    /// Asks a gateway to accept no more and to end when its streams do, at the latest after `deadline`.
    public func retireGateway(pid: Int32, deadline: Duration) {
        outboxes[pid]?.outbox.yield(.retire(deadlineMilliseconds: Int(deadline.nanoseconds / 1_000_000)))
    }

    /// Takes a gateway's greeting; the number returned stands for this connection of it.
    func gatewayConnected(_ hello: GatewayHello, outbox: Outbox) -> Int {
        nextConnection += 1
        outboxes.updateValue((nextConnection, outbox), forKey: hello.pid)?.outbox.finish()
        logger.info("gateway connected", metadata: ["pid": "\(hello.pid)", "build": "\(hello.build)"])
        perform(reduction.hello(hello))
        return nextConnection
    }

    func gatewaySaid(_ message: GatewayMessage, pid: Int32) {
        switch message {
        case .hello: break
        case .applied(let version): perform(reduction.applied(version, by: pid))
        case .report(let report): perform(reduction.reported(report, by: pid))
        }
    }

    /// A connection has ended; of no account when the gateway has dialled again since.
    func gatewayDisconnected(pid: Int32, connection: Int) {
        guard outboxes[pid]?.connection == connection else { return }
        outboxes.removeValue(forKey: pid)?.outbox.finish()
        perform(reduction.disconnected(pid: pid))
    }

    /// Waits, within bounds, until a gateway that runs already has said what it routes by.
    public func greeting(of pid: Int32, within patience: Duration) async {
        let deadline = Instant.now() + patience
        while outboxes[pid] == nil, Instant.now() < deadline { try? await Task.sleep(for: .milliseconds(5)) }
    }

    /// Waits, within bounds, until a gateway routes by a snapshot of this registry; whether it does.
    func serves(_ pid: Int32, within patience: Duration) async -> Bool {
        let deadline = Instant.now() + patience
        while !reduction.serves(pid) {
            guard reduction.gateways[pid] != nil, Instant.now() < deadline else { return false }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    // MARK: Views

    /// What gateways that outlived the earlier supervisor route to an instance by, until its owner has a verdict.
    public func inherited(_ instance: String) -> InstanceEntry? { reduction.inherited[instance] }

    /// The readiness of the whole daemon.
    public var readiness: Readiness { reduction.readiness }

    /// The revision that gateways are given at present.
    public var version: SnapshotVersion { reduction.snapshot.version }

    /// Every instance's newest record, with the requests in flight on its gateways, in order of name.
    public var records: [InstanceRecord] {
        reduction.records.values.sorted { $0.status.id < $1.status.id }.map { record in
            var record = record
            record.status.inflight = record.entries.reduce(0) { $0 + reduction.inflight(on: $1.run) }
            return record
        }
    }

    /// Requests in flight on all gateways.
    public var inflight: Int { reduction.inflight }

    /// What all gateways have counted.
    public var totals: GatewayTotals { reduction.totals }

    /// The loops' heartbeats of a gateway's newest report.
    public func heartbeats(of pid: Int32) -> [Instant] { reduction.gateways[pid]?.report?.loopHeartbeats ?? [] }

    /// Yields at once and after every change of what people see; changes that come together yield once.
    public func changes() -> AsyncStream<Void> {
        let number = nextWatcher
        nextWatcher += 1
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        continuation.onTermination = { _ in Task { await self.unwatch(number) } }
        watchers[number] = continuation
        continuation.yield()
        return stream
    }

    private func unwatch(_ number: Int) { watchers[number] = nil }

    private func perform(_ actions: [RegistryReduction.Action]) {
        var isChanged = false
        var isBroadcast = false
        for action in actions {
            switch action {
            case .broadcast: isBroadcast = true
            case .send(let pid): outboxes[pid]?.outbox.yield(.snapshot(reduction.snapshot))
            case .tell(let instance, let event):
                // Each takes what is about its own run.
                for owner in (owners[instance] ?? [:]).values { owner.yield(event) }
            case .statusChanged: isChanged = true
            }
        }
        if isBroadcast {
            for peer in outboxes.values { peer.outbox.yield(.snapshot(reduction.snapshot)) }
        }
        if reduction.knownModels != savedModels {
            savedModels = reduction.knownModels
            store.save(savedModels)
        }
        if isChanged { for watcher in watchers.values { watcher.yield() } }
    }
}
