import Fleet
import Health

/// Asking an instance how it is, and telling its machine what the answers add up to.
extension InstanceOwner {
    func beginHealth(_ run: UInt64, _ now: Instant, with event: HealthMonitor.Event = .began) {
        monitorRun = run
        monitor = HealthMonitor(settings: healthSettings, at: now)
        feed(.health(event))
    }

    var healthSettings: HealthMonitor.Settings {
        HealthMonitor.Settings(
            kind: plan.kind, configuration: services.health, warmup: warmup,
            configuredModels: plan.provider.models, expectedIds: expectedIds)
    }

    private var warmup: LaunchConfiguration.Warmup {
        if case .launched(_, let launch) = machine { return launch.warmup }
        return .auto
    }

    /// The ids that a launched server must serve: its served names, else its model.
    private var expectedIds: [String] {
        guard case .launched(_, let launch) = machine else { return [] }
        let served = LaunchCommand.servedNames(launch.args)
        return served.isEmpty ? [launch.model] : served
    }

    /// Where it is asked and reached, and with which key.
    var access: (endpoint: Endpoint, key: Secret?)? {
        switch machine {
        case .launched(_, let launch):
            // vLLM takes its key from its environment.
            return server.map { ($0.endpoint, launch.env["VLLM_API_KEY"]) }
        case .attached(_, let attach): return endpoint.map { ($0, attach.apiKey) }
        }
    }

    func perform(_ action: HealthMonitor.Action) {
        switch action {
        case .probe(let order):
            guard let access else { return }
            let probe = HTTPProbe(
                endpoint: access.endpoint, apiKey: access.key, method: order.method, path: order.path, body: order.body,
                timeout: order.timeout)
            let prober = services.prober
            let inbox = inbox
            let run = monitorRun
            Task { inbox.yield(.probed(run, order.id, await prober.send(probe))) }
        case .conclude(let conclusion): conclude(conclusion)
        }
    }

    private func conclude(_ conclusion: HealthConclusion) {
        switch conclusion {
        case .listening: hasListened = true
        case .warm, .healthy:
            hasListened = true
            isUnreachable = false
            server?.startIsOver()
        case .unreachable: isUnreachable = true
        case .modelsChanged, .unhealthy, .misconfigured, .condemned: break
        }
        feed(isLaunched ? .launched(.health(monitorRun, conclusion)) : .attached(.health(monitorRun, conclusion)))
    }
}
