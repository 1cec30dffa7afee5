import Fleet
import FoundationEssentials
import Health

/// What the admin API asks of the daemon.
extension Daemon: DaemonControl {
    /// The present status.
    public func status() async -> StatusReport {
        let readiness = await registry.readiness
        let records = await registry.records
        let totals = await registry.totals
        let byName = Dictionary(grouping: records, by: \.provider)
        let providers = withAttachments(configuration).providers.sorted { $0.name < $1.name }.map { provider in
            let kind: ProviderKind = if case .launched = provider.source { .launched } else { .attached }
            let model: String? = if case .launched(let launch) = provider.source { launch.model } else { nil }
            let instances = byName[provider.name, default: []].map { record in
                var status = record.status
                status.expectedReady = chronicle.expectedReady(status, provider: provider.name, model: model)
                return status
            }
            return ProviderStatus(name: provider.name, kind: kind, model: model, instances: instances)
        }
        var gateway = GatewayStatus(
            pid: await keeper.pid, inflight: await registry.inflight, requestsTotal: totals.requestsTotal,
            restarts: await keeper.restarts, lastExit: await keeper.lastExit, listen: await keeper.addresses)
        gateway.keyRequired = configuration.masterKey != nil
        gateway.tls = configuration.tls != nil
        var report = StatusReport(
            version: options.version, mode: configuration.mode.rawValue, ready: readiness.isReady,
            readyReason: readiness.reason, uptimeSeconds: (Instant.now() - began).seconds, revision: revision,
            gateway: gateway, providers: providers,
            notices: standing.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value) + notices)
        report.lastReload = lastReload
        report.gpus = gpus
        report.time = Timestamp.text(milliseconds: SystemClock().wallMilliseconds())
        report.readySince = Timestamp.text(milliseconds: readySince)
        report.lastEvent = chronicle.lastEvent
        return report
    }

    /// Yields the present status and then a new one after every change, the newest only.
    public func statusChanges() async -> AsyncStream<StatusReport> {
        let changes = await registry.changes()
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                for await _ in changes { continuation.yield(await self.status()) }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// Acts on an instance, or on all instances of a provider at once.
    public func act(_ command: OperatorCommand, on name: String) async throws(ControlFailure) {
        var names = [name]
        if owners[name] == nil {
            names = plans.values.filter { $0.provider.name == name }.map(\.name).sorted()
        }
        guard !names.isEmpty else { throw .noSuchInstance(name) }
        // A person's word counts more than a reload that is under way.
        for name in names {
            guard let replacer = replacers[name] else { continue }
            replacer.cancel("an operator's command came first: \(command.rawValue)")
            _ = await replacer.outcome()
        }
        var fitting: [String] = []
        for name in names {
            let state = await owners[name]?.status.state
            if command.fits(plans[name]?.kind, in: state, wish: wishes[name]) { fitting.append(name) }
        }
        // Of a whole provider those are meant whom it can mean: one that has failed keeps nobody from draining the rest.
        if !fitting.isEmpty { names = fitting }
        let targets = names.compactMap { owners[$0] }
        // What is refused is no wish: a stopped one that cannot be drained stays stopped.
        wishes.ask(command, of: fitting)
        chronicle.note(.command, instance: name, "\(command.rawValue) was asked for")
        let failures = await withTaskGroup(of: ControlFailure?.self) { group in
            for owner in targets { group.addTask { await Self.failure(of: command, by: owner) } }
            var failures: [ControlFailure] = []
            for await failure in group { if let failure { failures.append(failure) } }
            return failures
        }
        if let failure = failures.first { throw failure }
    }

    private static func failure(of command: OperatorCommand, by owner: InstanceOwner) async -> ControlFailure? {
        do throws(ControlFailure) {
            try await owner.act(command)
            return nil
        } catch {
            return error
        }
    }

    /// The log of an instance's present or previous run.
    public func logPath(of instance: String, previous: Bool) async throws(ControlFailure) -> String? {
        guard let plan = plans[instance], let owner = owners[instance] else { throw .noSuchInstance(instance) }
        guard plan.kind == .launched else {
            throw .refused("\(instance) is attached: its log is where its server was started")
        }
        let present = await owner.status.run
        var paths: [UInt64: String] = [:]
        // Where the state directory takes none, a run's log is elsewhere.
        for logs in [spawner.spareLogs, RunLogs(folder: state.directories.logs)] {
            for run in logs.runs(of: instance) {
                paths[run] = logs.path(InstanceRun(instance: instance, run: run))
            }
        }
        let runs = paths.keys
        let run = previous ? runs.filter { $0 < present }.max() : runs.contains(present) ? present : runs.max()
        return run.flatMap { paths[$0] }
    }

    /// Adds or replaces an attached instance, and keeps it.
    public func attach(name: String, baseURL: String, apiKeyFile: String?) async throws(ControlFailure) {
        if configuration.providers.contains(where: { $0.name == name || $0.instanceNames.contains(name) })
            || owners[name] != nil && attachments[name] == nil
        {
            throw .refused("\(name) is in the configuration: change it there and reload")
        }
        guard !detaching.contains(name) else { throw .refused(Self.isBeingDetached(name)) }
        if let apiKeyFile, let key = try? AdminToken.read(apiKeyFile).secret {
            let own = [configuration.masterKey, (try? adminToken(of: configuration))?.secret].compactMap { $0 }
            guard !own.contains(key) else {
                throw .invalid(
                    "\(apiKeyFile) holds the gateway's master key or the admin token, which no server is sent: "
                        + "name a file with that server's own key")
            }
        }
        try await attachProvider(name, AttachmentStore.Attachment(baseURL: baseURL, apiKeyFile: apiKeyFile))
        try keepAttachments()
    }

    /// Removes an instance that was attached at run time.
    public func detach(name: String) async throws(ControlFailure) {
        guard attachments[name] != nil else {
            guard owners[name] == nil, !configuration.providers.contains(where: { $0.name == name }) else {
                throw .refused("\(name) is in the configuration: remove it there and reload")
            }
            throw .noSuchInstance(name)
        }
        guard detaching.insert(name).inserted else { throw .refused(Self.isBeingDetached(name)) }
        defer { detaching.remove(name) }
        notices.removeAll { $0.hasPrefix(Self.missing(name)) }
        // Its streams may take a while: who asked for this shall not find it attached after a crash meanwhile.
        let isKept = Result { () throws(ControlFailure) in try keepAttachments() }
        await remove(name)
        attachments[name] = nil
        await registry.configure(withAttachments(configuration))
        try isKept.get()
    }

    private static func isBeingDetached(_ name: String) -> String {
        "\(name) is being detached: its streams finish first; try again when 'stoker status' does not list it any more"
    }

    private func keepAttachments() throws(ControlFailure) {
        do {
            try attachmentStore.save(attachments.filter { !detaching.contains($0.key) })
        } catch {
            throw .failed("done, but it cannot be kept for the next start: \(error)")
        }
    }

    /// Prometheus text.
    public func metrics() async -> String {
        let records = await registry.records
        let heads = Set(records.compactMap(\.status.pid))
        return await MetricsText(
            status: status(), gateway: registry.totals.report,
            measures: Dictionary(records.map { ($0.status.id, $0.measures) }) { $1 },
            gpus: spawner.readGPUs(heads: heads)
        ).render()
    }

    /// Asks every engine that can be reached for its own metrics, all at once.
    public func engineMetrics() async -> String {
        let prober = prober
        let owners = owners.sorted { $0.key < $1.key }.map(\.value)
        let texts = await withTaskGroup(of: (Int, [UInt8]?).self) { group in
            for (index, owner) in owners.enumerated() {
                group.addTask {
                    guard let access = await owner.access else { return (index, nil) }
                    let probe = HTTPProbe(
                        endpoint: access.endpoint, apiKey: access.key, path: "/metrics", timeout: .seconds(5),
                        maximumBytes: EngineExposition.longestText)
                    guard case .answer(200, let body) = await prober.send(probe).outcome else { return (index, nil) }
                    return (index, body)
                }
            }
            return await group.reduce(into: [Int: [UInt8]]()) { $0[$1.0] = $1.1 }
        }
        var exposition = EngineExposition()
        for (index, owner) in owners.enumerated() {
            exposition.add(instance: owner.name, provider: await owner.plan.provider.name, text: texts[index])
        }
        return exposition.render()
    }
}
