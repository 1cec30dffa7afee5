import Fleet

extension HealthMonitor {
    /// When ``Event/tick`` is wanted; nil only before it began and after it was condemned.
    public var nextWake: Instant? {
        guard stage != .waiting, stage != .condemned else { return nil }
        return ProbeKind.allCases.compactMap { kind in
            lanes[kind].outstanding?.deadline ?? due(kind)
        }.min()
    }

    /// When the next probe of a kind is to be sent; nil when none is wanted.
    private func due(_ kind: ProbeKind) -> Instant? {
        switch (stage, kind) {
        case (.waiting, _), (.condemned, _): return nil
        case (.seeking, .models): return lanes.models.due
        case (.seeking, _): return nil
        case (.warming, .request): return lanes.request.due
        case (.steady, .request): return canaryDue
        default: return lanes[kind].due
        }
    }

    /// When a steady server is asked for a token.
    private var canaryDue: Instant? {
        guard plan.current != nil, !models.isEmpty, !isAsleep else { return nil }
        // Not before the pause that the last one asked for.
        let earliest = lastRequestEnd.map { $0 + requestPause } ?? Instant(nanoseconds: 0)
        if wantsRequest { return earliest }
        switch trouble {
        case .unreachable, .misconfigured: return isRecovering ? earliest : nil
        case .unhealthy: if isRecovering { return earliest }
        case nil: break
        }
        if failedRequestsSince != nil { return earliest }
        let confirming = hangDeadline.map { max($0, (lastRequestEnd ?? $0) + settings.period) }
        guard trouble == nil, settings.configuration.canary == .idle, settings.warmup == .auto, isIdle else {
            return confirming
        }
        let idle = max(lastEvidence, lastRequestEnd ?? lastEvidence) + settings.canaryInterval
        return confirming.map { min($0, idle) } ?? idle
    }

    mutating func sendDueProbes(at now: Instant) {
        for kind in ProbeKind.allCases {
            guard lanes[kind].outstanding == nil, let due = due(kind), due <= now else { continue }
            send(kind, at: now)
        }
    }

    private mutating func send(_ kind: ProbeKind, at now: Instant) {
        var order = ProbeOrder(
            id: nextID, kind: kind, method: "GET", path: "/v1/models", body: [],
            timeout: settings.configuration.timeout)
        switch kind {
        case .models: lanes.models.due = now + (stage == .seeking ? settings.seekInterval : settings.period)
        case .health:
            order.path = "/health"
            lanes.health.due = now + settings.period
        case .metrics:
            order.path = "/metrics"
            lanes.metrics.due = now + settings.period
        case .request:
            wantsRequest = false
            lanes.request.due = nil
            guard let request = plan.request(for: models) else { return }
            order.method = "POST"
            order.path = request.path
            order.body = request.body
            order.timeout = stage == .warming ? settings.warmupTimeout : settings.canaryTimeout
        }
        nextID += 1
        lanes[kind].outstanding = Lane.Outstanding(
            id: order.id, began: now, deadline: now + order.timeout + .seconds(2))
        actions.append(.probe(order))
    }

    /// An answer that never comes back is one that timed out: a shell that loses one does not silence a witness.
    mutating func expireAnswers(at now: Instant) {
        for kind in ProbeKind.allCases {
            guard let outstanding = lanes[kind].outstanding, outstanding.deadline <= now else { continue }
            answered(outstanding.id, .failure(.timedOut), at: now)
        }
    }

    /// It was never asked, so its silence is none of its own: what it said before stands.
    private mutating func askLater(_ kind: ProbeKind, at now: Instant) {
        guard kind == .request else { return }
        lastRequestEnd = now
        requestPause = settings.period
        lanes.request.due = now + settings.period
        wantsRequest = true
    }

    mutating func answered(_ id: UInt64, _ outcome: HTTPProbeResult.Outcome, at now: Instant) {
        guard let kind = ProbeKind.allCases.first(where: { lanes[$0].outstanding?.id == id }),
            let began = lanes[kind].outstanding?.began
        else { return }
        lanes[kind].outstanding = nil
        if case .failure(.ours) = outcome { return askLater(kind, at: now) }
        lanes[kind].elapsed = now - began
        switch kind {
        case .models: modelsAnswered(outcome, began: began, at: now)
        case .health: healthAnswered(outcome, began: began, at: now)
        case .metrics: metricsAnswered(outcome, at: now)
        case .request: requestAnswered(outcome, began: began, at: now)
        }
        guard stage == .steady else { return }
        judgeSilence(at: now)
        recover(at: now)
    }
}
