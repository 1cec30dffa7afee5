import Fleet

extension HealthMonitor {
    mutating func modelsAnswered(_ outcome: HTTPProbeResult.Outcome, began: Instant, at now: Instant) {
        switch outcome {
        case .failure(let failure):
            unanswered(.models, "/v1/models", failure, began: began, at: now)
        case .answer(let status, let body):
            let list = ModelList.read(
                status: status, body: body, expectedIds: settings.expectedIds,
                configuredIds: settings.configuredModels)
            switch list {
            case .cards(let cards): identified(cards, at: now)
            case .misconfigured(let reason):
                lanes.models.failed(reason, at: now)
                enter(.misconfigured(reason), at: now)
            case .failing(let reason):
                lanes.models.failed(reason, at: now)
                if stage == .steady || settings.kind == .attached,
                    lanes.models.failures >= settings.configuration.unhealthyAfter
                {
                    enter(.unhealthy(reason), at: now)
                }
            }
        }
    }

    private mutating func identified(_ cards: [ModelCard], at now: Instant) {
        lanes.models.succeeded(cards.map(\.id).joined(separator: ", "), at: now)
        suspectedAt = nil
        let before = models
        models = cards
        switch stage {
        case .seeking:
            trouble = nil
            stage = .warming
            lastEvidence = now
            conclude(.listening(cards))
            askEverything(at: now)
            // Asked a moment ago.
            lanes.models.due = now + settings.period
            if settings.warmup == .auto {
                lanes.request.due = now
            } else {
                becomeWarm(at: now)
            }
        case .steady:
            if trouble == nil, !ModelList.areSame(before, cards) { conclude(.modelsChanged(cards)) }
        // What was said against it while it warms up is taken back by the request alone.
        case .warming, .waiting, .condemned: break
        }
    }

    mutating func becomeWarm(at now: Instant) {
        stage = .steady
        trouble = nil
        conclude(.warm(models))
        updateAwaiting(at: now)
    }

    mutating func healthAnswered(_ outcome: HTTPProbeResult.Outcome, began: Instant, at now: Instant) {
        switch outcome {
        case .failure(let failure):
            unanswered(.health, "/health", failure, began: began, at: now)
        case .answer(let status, _):
            switch status {
            case 503:
                let reason = "/health answers 503: its engine is dead"
                lanes.health.failed(reason, at: now)
                deathByHealth = deathByHealth ?? now
                sawDeath(reason, by: .health, at: now)
            case 500...:
                let reason = "/health answers \(status)"
                lanes.health.failed(reason, at: now)
                if lanes.health.failures >= settings.configuration.unhealthyAfter, stage == .steady {
                    enter(.unhealthy(reason), at: now)
                }
            case 200..<300:
                deathByHealth = nil
                lanes.health.succeeded("answers \(status)", at: now)
            default:
                // Something in front of an attached server that lets only /v1 through: it has no word on this.
                deathByHealth = nil
                lanes.health.succeeded("not offered (\(status))", at: now)
            }
        }
    }

    /// One witness unpublishes; the second, or the first again a second later, condemns: vLLM never takes it back.
    mutating func sawDeath(_ reason: String, by witness: ProbeKind, at now: Instant) {
        enter(.unhealthy(reason), at: now)
        let since = [deathByHealth, deathByRequest].compactMap { $0 }.min() ?? now
        if deathByHealth != nil && deathByRequest != nil || now - since >= .seconds(1) {
            return condemn(reason, at: now)
        }
        // Ask the other one at once, and this one again when its word would be final.
        if witness == .health {
            lanes.health.due = now + .seconds(1)
            wantsRequest = true
            requestPause = .zero
            if stage == .warming { lanes.request.due = now }
        } else {
            lanes.health.due = now
            wantsRequest = true
            requestPause = .seconds(1)
            if stage == .warming { lanes.request.due = now + .seconds(1) }
        }
    }

    /// A probe without an answer.
    private mutating func unanswered(
        _ kind: ProbeKind, _ path: String, _ failure: HTTPProbeResult.Failure, began: Instant, at now: Instant
    ) {
        let word = HealthMonitor.word(for: failure)
        // Slow is not dead: while the engine shows life, a probe that waited too long says nothing.
        let counts = failure != .timedOut || stage == .seeking || lastEvidence < began
        // /v1/models goes the same way as /health: that it is silent is counted once.
        lanes[kind].failed("\(path): \(word)", at: now, counts: counts && kind == .models)
        let threshold = max(1, settings.configuration.unhealthyAfter)
        let isSure =
            lanes[kind].failures >= threshold || failure == .refused && (suspectedAt.map { began >= $0 } ?? false)
        guard isSure else { return }
        switch settings.kind {
        case .attached:
            if stage == .warming {
                stage = .seeking
                lanes.models.due = now + settings.period
                for kind in ProbeKind.allCases where kind != .models { lanes[kind].outstanding = nil }
            }
            enter(.unreachable("\(path): \(word)"), at: now)
        case .launched:
            // While it starts, silence is normal: its progress is judged elsewhere.
            guard stage == .steady else { return }
            enter(.unhealthy("\(path): \(word)"), at: now)
        }
        updateAwaiting(at: now)
    }

    mutating func metricsAnswered(_ outcome: HTTPProbeResult.Outcome, at now: Instant) {
        guard case .answer(200, let body) = outcome else {
            if case .failure(let failure) = outcome {
                lanes.metrics.failed("/metrics: \(HealthMonitor.word(for: failure))", at: now)
                // What it said long ago, asleep or busy, is not true for ever.
                if lanes.metrics.failures >= 10 { counters = nil }
            } else if case .answer(let status, _) = outcome {
                lanes.metrics.failed("/metrics answers \(status)", at: now)
                counters = nil
                stillSince = nil
            }
            return
        }
        let new = EngineMetrics.parse(body)
        let before = counters
        let beforeAt = countersAt
        counters = new
        countersAt = now
        window.take(new, at: now)
        lanes.metrics.succeeded(new.hasHeartbeat ? "counters are there" : "has no counters", at: now)
        take(new, after: before, beforeAt: beforeAt, at: now)
        updateAwaiting(at: now)
        if isAsleep { enter(.unhealthy("asleep: 'POST /wake_up' wakes it"), at: now) }
    }

    private mutating func take(
        _ new: EngineCounters, after before: EngineCounters?, beforeAt: Instant?, at now: Instant
    ) {
        guard let before, let beforeAt else {
            stillSince = new.hasHeartbeat ? now : nil
            return
        }
        let movement = new.movement(since: before)
        let tokens = (new.generationTokens ?? 0) - (before.generationTokens ?? new.generationTokens ?? 0)
        let passed = (now - beforeAt).seconds
        tokensPerSecond = movement != .restarted && passed > 0 && tokens > 0 ? tokens / passed : 0
        switch movement {
        case .moved:
            stillSince = now
            sawLife(at: now, now: now)
        case .still: stillSince = stillSince ?? now
        case .unknown: stillSince = new.hasHeartbeat ? now : nil
        case .restarted:
            stillSince = now
            sawRestart(at: now)
        }
    }

    /// An attached server's counters began anew: another life of it, to be warmed up before anyone waits for it.
    private mutating func sawRestart(at now: Instant) {
        guard settings.kind == .attached, stage == .steady, trouble == nil else { return }
        restartsSeen.removeAll { now - $0 > .seconds(300) }
        restartsSeen.append(now)
        // Several servers behind one address look like a restart at every scrape.
        if restartsSeen.count > 2 {
            stillSince = nil
            return
        }
        plan = WarmupPlan()
        requestPause = .zero
        enter(.unhealthy("restarted: its counters began anew; a request warms it up"), at: now)
    }

    static func word(for failure: HTTPProbeResult.Failure) -> String {
        switch failure {
        case .refused: return "connection refused"
        case .timedOut: return "no answer in time"
        case .lost: return "connection lost"
        case .tls(let reason): return "TLS: \(reason)"
        case .ours(let reason): return "could not be asked: \(reason)"
        case .other(let reason): return reason
        }
    }
}
