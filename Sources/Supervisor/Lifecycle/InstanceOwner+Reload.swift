import Fleet
import Health

/// What a reload brings to an instance that goes on, and to two owners of one instance.
extension InstanceOwner {
    /// Goes on by these rules: back-off, deadlines, models, keys, how health is asked. The server stays as it is; an
    /// attached one is reached at its new address where that is another.
    public func adjust(_ provider: ProviderConfiguration, health: HealthConfiguration) {
        plan.provider = provider
        services.health = health
        switch (machine, provider.source) {
        case (.launched(let lifecycle, var launch), .launched(let new)):
            launch.restart = new.restart
            launch.timeouts = new.timeouts
            launch.warmup = new.warmup
            machine = .launched(lifecycle, launch)
            progress?.stall = new.timeouts.startStall
            monitor?.settings = healthSettings
            feed(.launched(.rules(new.restart, new.timeouts)))
        case (.attached(let lifecycle, let old), .attached(let new)):
            machine = .attached(lifecycle, new)
            monitor?.settings = healthSettings
            if old.baseURL != new.baseURL {
                moved()
            } else if let endpoint, old.caFile != new.caFile, endpoint.tls != nil {
                self.endpoint?.tls = Endpoint.TLS(serverName: new.baseURL.host, caFile: new.caFile)
            }
        default: return
        }
        emit(services.clock.now())
        // What was wrong with a key or a model may be right now.
        feed(.health(.suspected("its rules were reloaded")))
    }

    /// The number of the instance's last run, for whoever takes its place.
    var lastRun: UInt64 {
        if case .launched(let lifecycle, _) = machine { return max(lifecycle.run, lifecycle.earlierRuns) }
        return run
    }

    /// It is to replace another run, and waits for its turn once it works. Before it begins.
    func standBy() { feed(.launched(.standby)) }

    /// Its turn has come.
    func takeTurn() { feed(.launched(.turn)) }

    /// Another owner's run is about to take its place: it is not started again.
    func beSuperseded() { feed(.launched(.superseded)) }

    /// Nothing takes its place after all.
    func beReinstated(lastRun: UInt64) { feed(.launched(.reinstated(lastRun: lastRun))) }

    /// Starts a launched one without looking for what an earlier life left: another owner has that.
    func beginAnew() { feed(.launched(.beginAnew)) }
}
