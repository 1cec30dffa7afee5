import Fleet

/// The registry's decisions as a value: records of instances and words of gateways go in, snapshots and events for
/// instances' owners come out. No I/O, no clock.
///
/// A snapshot is made whenever what the gateway would see has changed, and only then, so that refreshed statuses
/// (ages, progress) cost the gateway nothing but a changed reason.
struct RegistryReduction: Sendable {
    /// What to do about an event.
    enum Action: Sendable, Hashable {
        /// Send the present snapshot to every connected gateway.
        case broadcast
        /// Send the present snapshot to one gateway.
        case send(gateway: Int32)
        /// Tell an instance's owner.
        case tell(instance: String, RegistryEvent)
        /// The status that people see has changed.
        case statusChanged
    }

    /// A gateway process as the registry knows it, by its pid.
    struct Gateway: Sendable, Hashable {
        /// Whether its socket is open. A living gateway that is not connected still counts for drains.
        var isConnected = false
        /// The newest snapshot that all of its loops route by.
        var applied: SnapshotVersion?
        /// Its newest report.
        var report: GatewayReport?
    }

    /// Since when a run has been published or unpublished, in revisions of this epoch.
    private struct Publication: Sendable, Hashable {
        var isPublished: Bool
        var since: SnapshotVersion
        var isTold = false
    }

    private(set) var snapshot: RegistrySnapshot
    /// Every owner's newest record by instance and generation: while an instance is replaced it has two owners, and the
    /// newer one has the higher generation.
    private(set) var generations: [String: [Int: InstanceRecord]] = [:]
    private(set) var gateways: [Int32: Gateway] = [:]
    /// What a gateway that outlived an earlier supervisor routes by: by instance, until its new owner has a verdict of its
    /// own. So nothing is dropped merely because this supervisor has not asked it yet.
    private(set) var inherited: [String: InstanceEntry] = [:]
    /// Whether the earlier supervisor's last word was ready: stands until this one's can be known.
    private var wasReady = false
    private(set) var knownModels: [String: Set<String>]
    private var configuration: Configuration
    private var publications: [InstanceRun: Publication] = [:]
    /// What gateways that are gone had counted, so that totals never go backwards.
    private var pastTotals = GatewayTotals()
    /// Responses cut short, by instance: added up from the differences between reports, since reports forget old runs.
    private var lostByInstance: [String: UInt64] = [:]

    /// A registry of a new epoch that knows no instance yet.
    ///
    /// - Parameter knownModels: ids by provider that an earlier life has seen.
    init(configuration: Configuration, epoch: UInt64, knownModels: [String: Set<String>] = [:]) {
        self.configuration = configuration
        self.knownModels = knownModels
        snapshot = RegistrySnapshot(
            epoch: epoch, revision: 1, settings: GatewaySettings(configuration), providers: [])
        snapshot.providers = compiledProviders()
        snapshot.settings = compiledSettings()
    }

    /// The readiness of the whole daemon, from the records.
    var readiness: Readiness {
        Readiness(
            readyWhen: configuration.readyWhen, records: records.values.sorted { $0.status.id < $1.status.id },
            expected: configuration.providers.reduce(0) { $0 + $1.instanceNames.count },
            isGatewayListening: isGatewayListening)
    }

    private var isGatewayListening: Bool { gateways.keys.contains { serves($0) } }

    /// Whether a gateway is connected and routes by a snapshot of this epoch.
    func serves(_ pid: Int32) -> Bool {
        guard let gateway = gateways[pid] else { return false }
        return gateway.isConnected && gateway.applied?.epoch == snapshot.epoch
    }

    /// Requests in flight on all gateways.
    var inflight: Int { gateways.values.reduce(0) { $0 + ($1.report?.inflight ?? 0) } }

    /// What all gateways have counted, those that are gone included.
    var totals: GatewayTotals {
        var totals = pastTotals
        for report in gateways.values.compactMap(\.report) { totals.add(report) }
        totals.lostByInstance = lostByInstance
        return totals
    }

    /// Requests in flight on one run, on all gateways.
    func inflight(on run: InstanceRun) -> Int {
        gateways.values.reduce(0) { sum, gateway in
            sum + (gateway.report?.runs.first { $0.run == run }?.inflight ?? 0)
        }
    }

    /// An instance's owner has made a transition.
    mutating func record(_ record: InstanceRecord, generation: Int = 0) -> [Action] {
        let before = generations[record.status.id]?[generation]
        generations[record.status.id, default: [:]][generation] = record
        // Whoever takes its offer back waits for the drain, also where a newer run has unpublished it before.
        for entry in before?.entries ?? [] where entry.published {
            let isOffered = record.entries.contains { $0.run == entry.run && $0.published }
            if !isOffered, publications[entry.run]?.isPublished == false { publications[entry.run]?.isTold = false }
        }
        remember(record)
        var isTakenOver = false
        if let entry = inherited[record.status.id], Self.hasVerdict(record, on: entry) {
            inherited[record.status.id] = nil
            // The owner waits for the gateways' word on its own publication, however like the inherited one it is.
            if record.entries.contains(where: { $0.run == entry.run && $0.published }) { publications[entry.run] = nil }
            isTakenOver = true
        }
        return [.statusChanged] + republish(always: isTakenOver) + settle()
    }

    /// An instance is not configured any more.
    mutating func forget(instance: String, generation: Int = 0) -> [Action] {
        guard generations[instance]?.removeValue(forKey: generation) != nil else { return [] }
        if generations[instance]?.isEmpty == true { generations[instance] = nil }
        return [.statusChanged] + republish()
    }

    /// The configuration has been replaced.
    mutating func configure(_ configuration: Configuration) -> [Action] {
        self.configuration = configuration
        return [.statusChanged] + republish()
    }

    /// A gateway process has been started, or found.
    mutating func gatewayStarted(pid: Int32) -> [Action] {
        if gateways[pid] == nil { gateways[pid] = Gateway() }
        return [.statusChanged]
    }

    /// A gateway process has ended: what it carried is over.
    mutating func gatewayExited(pid: Int32) -> [Action] {
        if let report = gateways.removeValue(forKey: pid)?.report { pastTotals.addPast(report) }
        return [.statusChanged] + republish() + settle()
    }

    /// A gateway has connected and said who it is; it gets the present snapshot whatever it has.
    mutating func hello(_ hello: GatewayHello) -> [Action] {
        gateways[hello.pid, default: Gateway()].isConnected = true
        gateways[hello.pid]?.applied = hello.applied?.version
        var actions: [Action] = []
        if let last = hello.applied, last.epoch < snapshot.epoch { actions = inherit(last) }
        return actions + [.send(gateway: hello.pid), .statusChanged]
    }

    /// Keeps what an earlier supervisor published, of instances that nothing is known about yet.
    private mutating func inherit(_ last: RegistrySnapshot) -> [Action] {
        for entry in last.providers.flatMap(\.instances) where entry.published {
            let name = entry.run.instance
            if let record = records[name], Self.hasVerdict(record, on: entry) { continue }
            inherited[name] = entry
        }
        guard !standing.isEmpty else { return [] }
        wasReady = wasReady || last.settings.ready
        return republish(always: true)
    }

    /// What is inherited of instances that are configured still.
    private var standing: [String: InstanceEntry] {
        guard !inherited.isEmpty else { return [:] }
        let names = Set(configuration.providers.flatMap(\.instanceNames))
        return inherited.filter { names.contains($0.key) }
    }

    /// Whether an owner knows better than what was inherited: a launched one as soon as it has looked for what lives, an
    /// attached one once its server has answered or failed to.
    private static func hasVerdict(_ record: InstanceRecord, on entry: InstanceEntry) -> Bool {
        switch record.kind {
        case .launched: return record.status.state != .starting || record.status.run != entry.run.run
        case .attached:
            if let present = record.entries.last {
                if present.published || present.endpoint != entry.endpoint { return true }
            }
            return record.status.state != .connecting || record.settled || record.status.lastFailure != nil
        }
    }

    /// A gateway's socket has closed. Its process may live: it keeps its last snapshot and dials again.
    mutating func disconnected(pid: Int32) -> [Action] {
        gateways[pid]?.isConnected = false
        return [.statusChanged]
    }

    /// All loops of a gateway route by this snapshot.
    mutating func applied(_ version: SnapshotVersion, by pid: Int32) -> [Action] {
        guard gateways[pid] != nil else { return [] }
        gateways[pid]?.applied = version
        return republish() + settle() + [.statusChanged]
    }

    /// A gateway has counted.
    mutating func reported(_ report: GatewayReport, by pid: Int32) -> [Action] {
        guard let before = gateways[pid] else { return [] }
        gateways[pid]?.report = report
        if let applied = report.applied { gateways[pid]?.applied = applied }
        var actions: [Action] = []
        for run in report.runs {
            let owners = generations[run.run.instance]?.values
            guard owners?.contains(where: { $0.entries.contains { $0.run == run.run } }) == true else { continue }
            actions.append(
                .tell(
                    instance: run.run.instance,
                    .activity(run.run, inflight: inflight(on: run.run), lastByte: lastByte(from: run.run))))
            let old = before.report?.runs.first { $0.run == run.run }
            lostByInstance[run.run.instance, default: 0] += run.lost - min(run.lost, old?.lost ?? 0)
            if run.failures > old?.failures ?? 0 || run.lost > old?.lost ?? 0 {
                let reason = run.lastFailure ?? "the gateway lost a connection"
                actions.append(.tell(instance: run.run.instance, .suspected(run.run, reason: reason)))
            }
        }
        return actions + settle() + [.statusChanged]
    }

    private func lastByte(from run: InstanceRun) -> Instant? {
        gateways.values.compactMap { $0.report?.runs.first { $0.run == run }?.lastByte }.max()
    }

    /// Ids of an instance that works are known from now on; once every instance of the provider is ready, only theirs are.
    private mutating func remember(_ record: InstanceRecord) {
        let siblings = records.values.filter { $0.provider == record.provider }
        let configured = configuration.providers.first { $0.name == record.provider }
        let ids = Set(siblings.filter { $0.status.published }.flatMap { $0.status.models })
        if siblings.count == configured?.instanceNames.count ?? 1, siblings.allSatisfy({ $0.status.state == .ready }) {
            knownModels[record.provider] = ids
        } else {
            knownModels[record.provider, default: []].formUnion(ids)
        }
    }

    /// Makes the next snapshot if the gateway's view has changed, and notes which runs were published or unpublished by it.
    private mutating func republish(always: Bool = false) -> [Action] {
        if isGatewayListening, standing.isEmpty { wasReady = false }
        let providers = compiledProviders()
        let settings = compiledSettings()
        guard always || providers != snapshot.providers || settings != snapshot.settings else { return [] }
        snapshot.providers = providers
        snapshot.settings = settings
        snapshot.revision += 1
        var seen: Set<InstanceRun> = []
        for entry in providers.flatMap(\.instances) {
            seen.insert(entry.run)
            if publications[entry.run]?.isPublished != entry.published {
                publications[entry.run] = Publication(isPublished: entry.published, since: snapshot.version)
            }
        }
        for (run, publication) in publications where !seen.contains(run) && publication.isPublished {
            publications[run] = Publication(isPublished: false, since: snapshot.version)
        }
        return [.broadcast] + settle()
    }

    /// Which publications every gateway has taken, and which unpublished runs have nothing in flight anywhere.
    private mutating func settle() -> [Action] {
        var actions: [Action] = []
        for (run, publication) in publications.sorted(by: { $0.key < $1.key }) where !publication.isTold {
            if publication.isPublished {
                let connected = gateways.values.filter(\.isConnected)
                guard !connected.isEmpty, connected.allSatisfy({ ($0.applied ?? .never) >= publication.since }) else {
                    continue
                }
                actions.append(.tell(instance: run.instance, .confirmed(run)))
            } else {
                let isIdle = gateways.values.allSatisfy { gateway in
                    // A process that has never reported has not been given this run either, unless it took a snapshot.
                    guard let report = gateway.report else { return gateway.applied == nil }
                    guard let applied = report.applied, applied >= publication.since else { return false }
                    return report.runs.first { $0.run == run }?.inflight ?? 0 == 0
                }
                guard isIdle else { continue }
                actions.append(.tell(instance: run.instance, .drained(run)))
            }
            publications[run]?.isTold = true
        }
        let current = Set(snapshot.providers.flatMap(\.instances).map(\.run))
        publications = publications.filter { current.contains($0.key) || !$0.value.isTold }
        return actions
    }

    private func compiledSettings() -> GatewaySettings {
        var settings = GatewaySettings(configuration)
        let readiness = readiness
        settings.ready = readiness.isReady || wasReady
        settings.readyReason = readiness.reason
        return settings
    }

    private func compiledProviders() -> [ProviderEntry] {
        let standing = standing
        let records = records
        return configuration.providers.sorted { $0.name < $1.name }.map { provider in
            let kept = provider.instanceNames.compactMap { standing[$0] }
            let members = records.values.filter { $0.provider == provider.name }.sorted { $0.status.id < $1.status.id }
            let isServing = !kept.isEmpty || members.contains { $0.status.published }
            let waiting = members.filter { !$0.status.published }
            let spokesman = waiting.first { $0.isOnItsWay } ?? waiting.first
            var known = knownModels[provider.name] ?? []
            known.formUnion(provider.configuredModelIDs)
            return ProviderEntry(
                name: provider.name, passthroughAllow: provider.passthroughAllow, knownModels: known.sorted(),
                settled: isServing,
                reason: spokesman.map { Readiness.sentence(about: $0.status) }
                    ?? (isServing ? "no instance that is ready serves it" : "starting"),
                loading: members.isEmpty || waiting.contains { $0.isOnItsWay },
                retryAfterSeconds: spokesman?.status.state == .failed ? 30 : 5,
                instances: (kept
                    + members.flatMap { Self.entries(generations[$0.status.id] ?? [:]) }
                    .filter { entry in !kept.contains { $0.run == entry.run } })
                    .sorted { $0.run < $1.run },
                instanceNames: provider.instanceNames)
        }
    }
}

extension SnapshotVersion {
    /// Before every snapshot.
    static let never = SnapshotVersion(epoch: 0, revision: 0)
}
