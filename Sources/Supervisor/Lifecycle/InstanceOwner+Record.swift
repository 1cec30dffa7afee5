import Fleet
import Health

/// The record: what people and the gateway are told.
extension InstanceOwner {
    func makeRecord() -> InstanceRecord {
        let now = services.clock.now()
        switch machine {
        case .launched(let lifecycle, let launch): return makeRecord(lifecycle, launch, now)
        case .attached(let lifecycle, let attach): return makeRecord(lifecycle, attach, now)
        }
    }

    private func makeRecord(_ lifecycle: Lifecycle, _ launch: LaunchConfiguration, _ now: Instant) -> InstanceRecord {
        var status = InstanceStatus(
            id: plan.name, run: lifecycle.run, state: lifecycle.state, since: time(lifecycle.since, now),
            reason: lifecycle.reason)
        status.published = lifecycle.state == .ready && lifecycle.isOffered
        status.pid = lifecycle.pid
        status.restarts = lifecycle.restarts
        status.lastFailure = lifecycle.lastFailure.map { failure($0, now) }
        if lifecycle.state == .loading, let progress {
            status.progressPercent = progress.percent
            status.phase = progress.phase?.rawValue
            status.reason = progress.summary
        }
        var entries: [InstanceEntry] = []
        if let server, lifecycle.isAlive {
            status.gpus = server.gpus
            status.checks.append(processCheck(lifecycle, server))
            entries = [
                InstanceEntry(
                    run: InstanceRun(instance: plan.name, run: lifecycle.run), endpoint: server.endpoint,
                    apiKey: launch.env["VLLM_API_KEY"], state: lifecycle.state, published: lifecycle.isOffered,
                    models: lifecycle.models)
            ]
        }
        complete(&status, lifecycle.models, now)
        var record = InstanceRecord(
            provider: plan.provider.name, kind: .launched, status: status, entries: entries,
            settled: lifecycle.isSettled, isOnItsWay: lifecycle.isOnItsWay, model: launch.model,
            measures: InstanceMeasures(
                restarts: lifecycle.restartsByKind, readyAfter: lifecycle.readyAfter,
                probes: monitor?.probeDurations ?? [:]))
        record.isProven = lifecycle.works && lifecycle.ending == nil
        record.memory = lifecycle.memory
        return record
    }

    private func makeRecord(
        _ lifecycle: AttachedLifecycle, _ attach: AttachConfiguration, _ now: Instant
    ) -> InstanceRecord {
        var status = InstanceStatus(
            id: plan.name, run: lifecycle.run, state: lifecycle.state, since: time(lifecycle.since, now),
            reason: lifecycle.reason)
        status.published = lifecycle.state == .ready && lifecycle.isOffered
        status.lastFailure = lifecycle.lastFailure.map { failure($0, now) }
        var entries: [InstanceEntry] = lifecycle.retired.compactMap { run in
            retiredEndpoints[run].map {
                InstanceEntry(
                    run: InstanceRun(instance: plan.name, run: run), endpoint: $0, apiKey: attach.apiKey,
                    state: .draining, published: false)
            }
        }
        if let endpoint, lifecycle.run > 0 {
            entries.append(
                InstanceEntry(
                    run: InstanceRun(instance: plan.name, run: lifecycle.run), endpoint: endpoint,
                    apiKey: attach.apiKey,
                    state: lifecycle.state, published: lifecycle.isOffered, models: lifecycle.models))
        }
        complete(&status, lifecycle.models, now)
        if status.endpoint == nil { status.endpoint = attach.baseURL.description }
        return InstanceRecord(
            provider: plan.provider.name, kind: .attached, status: status, entries: entries,
            settled: lifecycle.isSettled, measures: InstanceMeasures(probes: monitor?.probeDurations ?? [:]))
    }

    private func complete(_ status: inout InstanceStatus, _ models: [ModelCard], _ now: Instant) {
        status.endpoint = access?.endpoint.description
        status.models = models.map(\.id)
        status.inflight = inflight
        if let monitor {
            status.checks += monitor.checks(at: now).filter { $0.signal != .process || !isLaunched }
            status.load = monitor.load
        }
    }

    private func processCheck(_ lifecycle: Lifecycle, _ server: any LaunchedServer) -> InstanceStatus.Check {
        var detail = lifecycle.pid.map { "pid \($0)" } ?? "the server has exited"
        if let usage {
            let mebibytes = usage.residentBytes >> 20
            detail += ", \(usage.processes) processes, \(mebibytes) MiB"
            if let processors { detail += ", \((processors * 100).rounded() / 100) CPUs" }
        }
        detail += ", \(server.treeDescription)"
        return InstanceStatus.Check(signal: .process, ok: lifecycle.pid != nil, ageSeconds: 0, detail: detail)
    }

    private func failure(_ note: FailureNote, _ now: Instant) -> InstanceStatus.Failure {
        InstanceStatus.Failure(
            at: time(note.at, now), kind: note.fault.kind, detail: note.fault.detail, logTail: note.postmortem.lines,
            hint: note.postmortem.hint)
    }

    /// An instant as people read it. The two clocks' distance is kept until the wall clock is set, so that a time does
    /// not change from record to record.
    private func time(_ instant: Instant, _ now: Instant) -> String {
        let distance = services.clock.wallMilliseconds() - Int64(now.nanoseconds / 1_000_000)
        if abs(distance - wallDistance) > 1000 { wallDistance = distance }
        return Timestamp.text(milliseconds: wallDistance + Int64(instant.nanoseconds / 1_000_000))
    }
}
