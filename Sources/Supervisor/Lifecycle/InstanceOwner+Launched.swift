import Fleet
import Health

/// What a launched instance's machine says, done; and what comes back.
extension InstanceOwner {
    func perform(_ action: Lifecycle.Action, _ lifecycle: Lifecycle, _ launch: LaunchConfiguration, _ now: Instant) {
        switch action {
        case .record: emit(now)
        case .launch(let run): self.launch(run, launch)
        case .adopt(let run): adopt(run)
        case .cancelLaunch: launchTask?.cancel()
        case .beginHealth(let run):
            progress = StartProgress(stall: launch.timeouts.startStall, began: now)
            beginHealth(run, now)
        case .resumeHealth(let run, let models): beginHealth(run, now, with: .adopted(models))
        case .endHealth:
            lastWords = witnesses(now)
            monitor = nil
            progress = nil
        case .terminate: server?.terminate()
        case .endTree(let run, let evidence): endTree(run, evidence: evidence)
        case .answer(let waiter, let failure): answer(waiter, failure)
        }
    }

    private func launch(_ run: UInt64, _ launch: LaunchConfiguration) {
        server = nil
        usage = nil
        lastExit = nil
        inflight = 0
        hasListened = false
        let order = LaunchOrder(plan: plan, launch: launch, run: run)
        let spawner = services.spawner
        let inbox = inbox
        launchTask = Task {
            let result = await spawner.launch(order) { inbox.yield(.server(run, $0)) }
            inbox.yield(.launch(run, result))
        }
    }

    private func adopt(_ run: UInt64) {
        let plan = plan
        let logRead = memory?.run == run ? memory?.logRead : nil
        let spawner = services.spawner
        let inbox = inbox
        launchTask = Task {
            let found = await spawner.adopt(plan, logRead: logRead) { inbox.yield(.server(run, $0)) }
            inbox.yield(.adoption(run, found))
        }
    }

    private func adopted(_ run: UInt64, _ found: AdoptedServer?) {
        defer { inherited = nil }
        // A record of an older run than the last cannot be believed: what it left is ended before the next launch.
        guard let found, found.run == run, run == self.run else { return feed(.launched(.nothingToAdopt(run))) }
        server = found.server
        var published: [ModelCard]?
        if let inherited, inherited.published, inherited.run.run == run, inherited.endpoint == found.server.endpoint {
            published = inherited.models
            hasListened = true
        }
        services.logger.notice(
            "took over a running server",
            metadata: ["instance": "\(plan.name)", "run": "\(run)", "pid": "\(found.server.pid)"])
        feed(.launched(.adopted(run, pid: found.server.pid, published: published)))
    }

    private func endTree(_ run: UInt64, evidence: String?) {
        guard let server else {
            // Cannot be: a tree without its handle. The machine must not wait for ever all the same.
            feed(.launched(.cleaned(run, Postmortem())))
            return
        }
        let inbox = inbox
        // Once we kill it, its end says nothing about what went wrong before.
        let end = lastExit
        let wasStarting = !hasListened
        let words = evidence.map { "\($0)\n\(lastWords)" }
        Task {
            await server.end(evidence: words)
            inbox.yield(.cleaned(run, Self.explain(server, end: end, duringStart: wasStarting)))
        }
    }

    /// What every witness says now, for whoever has to find out why it is ended.
    private func witnesses(_ now: Instant) -> String {
        guard let monitor else { return "" }
        var lines = monitor.checks(at: now).map { check in
            let age = (check.ageSeconds * 10).rounded() / 10
            return "\(check.signal.rawValue): \(check.ok ? "ok" : "not ok"), \(age) s ago: \(check.detail)"
        }
        lines.append("in flight through the gateway: \(inflight)")
        if let text = monitor.countersText { lines.append("the newest /metrics: \(text)") }
        if let usage {
            lines.append(
                "\(usage.processes) processes, \(usage.residentBytes >> 20) MiB resident, "
                    + "\(Int(usage.cpu.seconds)) s of processor time")
        }
        return lines.map { "  \($0)\n" }.joined()
    }

    private static func explain(
        _ server: any LaunchedServer, end: ProcessEnd?, duringStart: Bool
    ) -> Postmortem {
        let explanation = FailureExplanation.explain(log: server.lastLines(), end: end, duringStart: duringStart)
        let isTelling = explanation.kind != .exited
        return Postmortem(
            kind: isTelling ? explanation.kind.rawValue : nil,
            cause: server.kernelCause() ?? (isTelling ? explanation.detail : nil), lines: explanation.lines,
            hint: explanation.hint, evidence: server.evidencePath, isPermanent: explanation.isPermanent)
    }

    /// Whether it is being started: judged by progress, not by probes.
    var isStarting: Bool {
        guard case .launched(let lifecycle, _) = machine, progress != nil else { return false }
        return lifecycle.state == .loading || lifecycle.state == .warming
    }

    func checkStall(_ now: Instant) {
        guard isStarting, let progress, progress.isStalled(at: now) else { return }
        let seconds = Int((now - progress.lastProgress).seconds)
        feed(
            .launched(
                .stalled(
                    run, "no progress for \(seconds) s while \(progress.summary); the last was: \(progress.lastSign)")))
    }

    /// Takes what a task or a thread has sent.
    func receive(_ input: Input) {
        let now = services.clock.now()
        switch input {
        case .launch(let run, .success(let server)):
            self.server = server
            feed(.launched(.launched(run, pid: server.pid)))
        case .adoption(let run, let found): adopted(run, found)
        case .launch(let run, .failure(let failure)): feed(.launched(.launchFailed(run, failure)))
        case .cleaned(let run, let postmortem):
            if run == self.run {
                server = nil
                usage = nil
                inflight = 0
            }
            feed(.launched(.cleaned(run, postmortem)))
        case .probed(let run, let order, let result):
            guard run == monitorRun, monitor != nil else { return }
            isDirty = true
            feed(.health(.answered(order, result)))
        case .resolved(let addressing, let resolution):
            if addressing == self.addressing { resolved(resolution, now) }
        case .server(let run, let event):
            guard run == self.run else { return }
            receive(event, run, now)
        }
    }

    private func receive(_ event: ServerEvent, _ run: UInt64, _ now: Instant) {
        switch event {
        case .waiting(let why): feed(.launched(.waiting(run, why)))
        case .exited(let end):
            lastExit = end
            feed(.launched(.exited(run, end)))
        case .engineDied(let who): feed(.launched(.engineDied(run, who)))
        case .helperDied(let who): feed(.health(.suspected(who)))
        case .lines(let lines):
            guard isStarting else { return }
            let before = (progress?.phase, progress?.percent)
            for line in lines { progress?.observe(line: line, at: now) }
            if let phase = progress?.phase, phase.isPastWeights { server?.weightsAreRead() }
            if before != (progress?.phase, progress?.percent) { isDirty = true }
            feed(.launched(.tick))
        case .usage(let usage):
            if self.usage?.processes != usage.processes || isStarting { isDirty = true }
            if let before = self.usage, let at = usageAt, now > at, usage.cpu >= before.cpu {
                processors = (usage.cpu - before.cpu).seconds / (now - at).seconds
            }
            self.usage = usage
            usageAt = now
            guard isStarting else { return feed(.launched(.tick)) }
            progress?.observe(
                sample: StartProgress.Sample(
                    ioBytes: usage.ioBytes, memoryBytes: usage.residentBytes, cpuTime: usage.cpu), at: now)
            checkStall(now)
            feed(.launched(.tick))
        }
    }
}
