import Fleet

extension HealthMonitor {
    /// Whether nothing is in flight, as far as anyone knows.
    var isIdle: Bool { inflight == 0 && (counters?.requests ?? 0) == 0 }

    /// Whether a canary can tell if it lives.
    var canBeAsked: Bool { plan.current != nil && !cannotTell }

    var isAsleep: Bool { counters?.isAsleep ?? false }

    /// Whether what unpublished it has passed, but for a real request.
    var isRecovering: Bool {
        lanes.models.successes >= max(1, settings.configuration.healthyAfter) && lanes.health.failures == 0
            && deathByHealth == nil && !isAsleep
    }

    /// When work will have been waiting for `hang_after` without a sign of life; nil while none waits.
    var hangDeadline: Instant? {
        guard !isAsleep, stage == .steady, let awaitingSince else { return nil }
        return max(awaitingSince, lastEvidence) + settings.configuration.hangAfter
    }

    /// Whether the counters were there, and the same, for as long as work has been waiting.
    func areCountersFrozen(at now: Instant) -> Bool {
        guard let stillSince, let countersAt, counters?.hasHeartbeat ?? false, let awaitingSince else { return false }
        return now - countersAt <= settings.scrapeLifetime
            && stillSince <= max(awaitingSince, lastEvidence) + settings.scrapeLifetime && countersAt > stillSince
    }

    /// The engine did something: whatever was suspected of it is void.
    mutating func sawLife(at moment: Instant, now: Instant) {
        lastEvidence = max(lastEvidence, moment)
        if moment >= failedRequestsSince ?? moment {
            failedRequestsSince = nil
            failedRequests = 0
            lateFailures = 0
        }
        updateAwaiting(at: now)
    }

    /// Waiting begins with work. A sign of life while work is left begins it anew, and ends it where none is; that a client
    /// has given up, or got an error of the front end's own, does neither.
    mutating func updateAwaiting(at now: Instant) {
        // A server that does not answer at all keeps everyone waiting.
        let isSilent = lanes.models.failures >= max(1, settings.configuration.unhealthyAfter)
        if !isIdle || failedRequestsSince != nil || isSilent {
            awaitingSince = max(awaitingSince ?? failedRequestsSince ?? now, lastEvidence)
        } else if let since = awaitingSince, lastEvidence > since || !canBeAsked {
            awaitingSince = nil
        }
    }

    /// Where no canary can tell, the engine's own count of requests and its counters do, after twice the time.
    mutating func judgeSilence(at now: Instant) {
        guard !canBeAsked, let hangDeadline, let requests = counters?.requests, requests > 0,
            now >= hangDeadline + settings.configuration.hangAfter, areCountersFrozen(at: now)
        else { return }
        condemn(hangReason("no canary can tell", at: now), at: now)
    }

    func hangReason(_ canary: String, at now: Instant) -> String {
        let silence = Int((now - max(lastEvidence, awaitingSince ?? lastEvidence)).seconds)
        let requests = HealthMonitor.count(counters?.requests)
        let work =
            inflight > 0
            ? "\(inflight) in flight" : requests > 0 ? "\(requests) in the engine" : "idle but for its canaries"
        let steps = areCountersFrozen(at: now) ? "counters stand still" : "counters are unknown"
        return "hung: \(work), no sign of life for \(silence) s, \(steps); canary: \(canary)"
    }

    /// Publishes again what works again.
    mutating func recover(at now: Instant) {
        guard stage == .steady, trouble != nil, isRecovering else { return }
        var isProven = provenAt.map { $0 > troubleSince } ?? false
        if settings.warmup == .none, failedRequestsSince == nil, deathByRequest == nil { isProven = true }
        // Where there is no route to ask, who it is must do, unless it is silent over work.
        if plan.current == nil, hangDeadline.map({ now < $0 }) ?? true { isProven = true }
        guard isProven, failedRequestsSince == nil else { return }
        self.trouble = nil
        conclude(.healthy(models))
    }
}
