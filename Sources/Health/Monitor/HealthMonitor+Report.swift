import Fleet

extension HealthMonitor {
    /// What each witness says, for status. The process itself is the supervisor's to add.
    public func checks(at now: Instant) -> [InstanceStatus.Check] {
        var checks: [InstanceStatus.Check] = []
        func add(_ signal: InstanceStatus.Signal, _ word: Lane.Word?) {
            guard let word else { return }
            let age = max(0, (now - word.at).seconds)
            checks.append(InstanceStatus.Check(signal: signal, ok: word.ok, ageSeconds: age, detail: word.detail))
        }
        add(.health, lanes.health.word)
        add(.models, lanes.models.word)
        add(.progress, progressWord(at: now))
        add(.canary, lanes.request.word)
        return checks
    }

    /// How long the newest probe of each witness took, answered or not.
    public var probeDurations: [InstanceStatus.Signal: Duration] {
        [
            InstanceStatus.Signal.health: lanes.health.elapsed, .models: lanes.models.elapsed,
            .progress: lanes.metrics.elapsed, .canary: lanes.request.elapsed,
        ].compactMapValues { $0 }
    }

    private func progressWord(at now: Instant) -> Lane.Word? {
        guard stage == .steady || stage == .warming || stage == .condemned else { return nil }
        if let hangDeadline, now >= hangDeadline {
            return Lane.Word(at: lastEvidence, ok: false, detail: "work waits, and nothing moves")
        }
        if isAsleep { return Lane.Word(at: countersAt ?? now, ok: false, detail: "asleep") }
        let what: String
        if counters?.hasHeartbeat ?? false {
            what = isIdle ? "idle" : "counters or bytes move"
        } else {
            what = lanes.metrics.word?.detail ?? "not asked yet"
        }
        return Lane.Word(at: lastEvidence, ok: true, detail: what)
    }

    /// The newest scrape of `/metrics` in words, for evidence; nil where it says nothing.
    public var countersText: String? {
        guard let counters else { return nil }
        let values: [(String, Double?)] = [
            ("steps", counters.iterations), ("generated tokens", counters.generationTokens),
            ("prompt tokens", counters.promptTokens), ("running", counters.running), ("waiting", counters.waiting),
            ("KV cache usage", counters.kvCacheUsage),
        ]
        let known = values.compactMap { name, value in value.map { "\(name) \($0)" } }
        return known.isEmpty ? nil : known.joined(separator: ", ")
    }

    /// The engine's own counters, where it gives them and they are not too old.
    public var load: InstanceStatus.Load? {
        guard let counters, counters.running != nil || counters.waiting != nil || counters.kvCacheUsage != nil else {
            return nil
        }
        var load = InstanceStatus.Load(
            running: HealthMonitor.count(counters.running), waiting: HealthMonitor.count(counters.waiting),
            kvCacheUsage: counters.kvCacheUsage ?? 0, tokensPerSecond: tokensPerSecond)
        load.prefixCacheHitRate = window.prefixCacheHitRate
        load.ttftP50Seconds = window.timeToFirstToken(quantile: 0.5)
        load.ttftP99Seconds = window.timeToFirstToken(quantile: 0.99)
        return load
    }

    /// A gauge as a count, whatever a server may have put there.
    static func count(_ value: Double?) -> Int { Int(min(1e9, max(0, value ?? 0))) }
}
