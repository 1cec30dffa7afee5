import Fleet

extension HealthMonitor {
    mutating func requestAnswered(_ outcome: HTTPProbeResult.Outcome, began: Instant, at now: Instant) {
        lastRequestEnd = now
        requestPause = .zero
        cannotTell = false
        let verdict = plan.take(outcome)
        switch verdict {
        case .warm: proved("a token in time", at: now)
        case .alive, .nothingToAsk: unproven(verdict, at: now)
        case .tryNext:
            wantsRequest = true
            lanes.request.due = now
        case .busy(let reason):
            cannotTell = true
            lanes.request.word = Lane.Word(at: now, ok: true, detail: "busy: \(reason)")
            retry(after: settings.period, at: now)
            // Full, and it steps: nothing is wrong with it.
            if trouble != nil, lastEvidence > troubleSince { provenAt = now }
        case .aborted:
            cannotTell = true
            let reason = "aborts requests: it is being shut down or paused"
            lanes.request.failed(reason, at: now)
            retry(after: settings.period, at: now)
            if stage == .steady { enter(.unhealthy(reason), at: now) }
        case .unauthorized(let reason):
            cannotTell = true
            lanes.request.failed(reason, at: now)
            retry(after: settings.period, at: now)
            enter(.misconfigured(reason), at: now)
        case .dead(let reason):
            lanes.request.failed(reason, at: now)
            retry(after: settings.period, at: now)
            deathByRequest = deathByRequest ?? now
            sawDeath(reason, by: .request, at: now)
            if stage == .steady { failedRequest(reason, began: began, at: now) }
        case .failing(let reason):
            lanes.request.failed(reason, at: now)
            retry(after: settings.period, at: now)
            failedRequest(reason, began: began, at: now)
            // An answer that fails, again and again, is its own witness, however lively the engine is.
            if stage == .steady, lanes.request.failures >= max(1, settings.configuration.unhealthyAfter) {
                enter(.unhealthy(reason), at: now)
            }
        case .unanswered(let failure):
            let reason = "a request: \(HealthMonitor.word(for: failure))"
            lanes.request.failed(reason, at: now)
            retry(after: failure == .timedOut ? .zero : settings.period, at: now)
            failedRequest(reason, began: began, at: now)
        }
    }

    /// Warming asks again after a while; a steady server's schedule decides for itself.
    private mutating func retry(after pause: Duration, at now: Instant) {
        requestPause = pause
        if stage == .warming { lanes.request.due = now + min(pause, settings.warmupPause) }
    }

    private mutating func proved(_ detail: String, at now: Instant) {
        lanes.request.succeeded(detail, at: now)
        deathByRequest = nil
        provenAt = now
        sawLife(at: now, now: now)
        if stage == .warming { becomeWarm(at: now) }
    }

    /// No request can tell: what else speaks must do.
    private mutating func unproven(_ verdict: WarmupVerdict, at now: Instant) {
        cannotTell = true
        deathByRequest = nil
        if verdict == .nothingToAsk {
            lanes.request.word = Lane.Word(at: now, ok: true, detail: "no route takes a probe: counters must do")
            let answers = counters?.isVLLM ?? false || lanes.health.word?.ok ?? false
            guard answers else {
                // Neither /health nor /metrics has spoken yet, or both fail.
                plan = WarmupPlan()
                retry(after: settings.period, at: now)
                return
            }
        } else {
            lanes.request.succeeded("a route answers", at: now)
        }
        provenAt = now
        failedRequestsSince = nil
        failedRequests = 0
        updateAwaiting(at: now)
        if stage == .warming { becomeWarm(at: now) }
    }

    private mutating func failedRequest(_ reason: String, began: Instant, at now: Instant) {
        // The engine showed life meanwhile: the request was slow, or its failure is not the engine's.
        if lastEvidence >= began, stage == .steady { return }
        failedRequestsSince = failedRequestsSince ?? began
        failedRequests += 1
        updateAwaiting(at: now)
        guard stage == .steady else { return warmupFailed(reason, at: now) }
        // The canary that made the work that waits is no second witness of it.
        if let hangDeadline, now >= hangDeadline, let awaitingSince, began > awaitingSince {
            lateFailures += 1
            // Where nothing waits any more, the canaries alone speak, and one of them is not enough.
            let isSure = areCountersFrozen(at: now) && (!isIdle || failedRequests >= 2)
            if isSure || lateFailures >= 2 {
                return condemn(hangReason(reason, at: now), at: now)
            }
        }
        if isIdle, failedRequests >= 2 {
            enter(.unhealthy("idle, and \(failedRequests) requests failed: \(reason)"), at: now)
        }
    }

    /// A launched server's warm-up may take as long as its start makes progress; only answers that fail end it here.
    private mutating func warmupFailed(_ reason: String, at now: Instant) {
        guard failedRequests >= max(1, settings.configuration.unhealthyAfter) else { return }
        if settings.kind == .attached {
            enter(.unhealthy(reason), at: now)
        } else if reason.hasPrefix("answers"), let since = failedRequestsSince,
            now - since >= settings.configuration.hangAfter
        {
            condemn("could not be warmed up: \(reason)", at: now)
        }
    }
}
