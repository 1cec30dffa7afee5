import Fleet
import Health

/// From a start to `ready`, and what the witnesses say meanwhile.
extension Lifecycle {
    mutating func begin(_ wanted: Bool, _ now: Instant, _ actions: inout [Action]) {
        guard state == .stopped, goal == .stop, !isFinal else { return }
        if wanted {
            goal = .run
            guard run > 0 else { return start("the daemon started", now, &actions) }
            isLaunching = true
            isAdopting = true
            enter(.starting, "looks for what an earlier life of the daemon left running", now, &actions)
            actions.append(.adopt(run))
        } else {
            reason = "stopped by the operator"
            actions.append(.record)
        }
    }

    /// Begins the next run. Only where no tree of this instance is left.
    mutating func start(_ why: String, _ now: Instant, _ actions: inout [Action]) {
        precondition(!hasTree && !isLaunching, "a second tree of one instance")
        run = max(run, earlierRuns) + 1
        ending = nil
        works = false
        isOffered = false
        isDrained = true
        startedAt = now
        readySince = nil
        rememberedFailure = nil
        models = []
        pid = nil
        backoffUntil = nil
        isLaunching = true
        earlyExit = nil
        enter(.starting, why, now, &actions)
        actions.append(.launch(run))
    }

    mutating func launched(_ pid: Int32, _ now: Instant, _ actions: inout [Action]) {
        guard isLaunching, !isAdopting else { return }
        isLaunching = false
        hasTree = true
        self.pid = pid
        if let exit = earlyExit {
            earlyExit = nil
            exited(exit, now, &actions)
            return
        }
        if ending != nil {
            // It was stopped while it was being launched.
            terminate(nil, now, &actions)
            return
        }
        startDeadline = now + timeouts.startMax
        enter(.loading, "the server loads its model", now, &actions)
        actions.append(.beginHealth(run))
    }

    /// An earlier life's run lives on. What gateways route to goes on being routed to: it was confirmed in that life.
    mutating func adopted(_ pid: Int32, _ published: [ModelCard]?, _ now: Instant, _ actions: inout [Action]) {
        guard isAdopting else { return }
        isLaunching = false
        isAdopting = false
        hasTree = true
        self.pid = pid
        if let published {
            models = published
            isDrained = false
            readySince = rememberedReady ?? now
            policy.becameReady()
        }
        if let exit = earlyExit {
            earlyExit = nil
            exited(exit, now, &actions)
        } else if ending != nil {
            terminate(nil, now, &actions)
        } else if let published {
            works = true
            isOffered = !isHeld
            enter(isHeld ? .draining : .ready, "taken over from an earlier life of the daemon", now, &actions)
            if let rememberedReady, !isHeld { since = rememberedReady }
            actions.append(.resumeHealth(run, published))
        } else {
            startDeadline = now + timeouts.startMax
            enter(.loading, "taken over from an earlier life of the daemon; being asked", now, &actions)
            actions.append(.beginHealth(run))
        }
    }

    /// The next run is started; its launch ends what cannot be taken over. What was given up stays so.
    mutating func nothingToAdopt(_ now: Instant, _ actions: inout [Action]) {
        guard isAdopting else { return }
        isLaunching = false
        isAdopting = false
        earlyExit = nil
        guard ending == nil else { return settle(permanent: nil, now, &actions) }
        if let rememberedFailure { return enter(.failed, rememberedFailure, now, &actions) }
        start("the daemon started", now, &actions)
    }

    mutating func launchFailed(_ failure: LaunchFailure, _ now: Instant, _ actions: inout [Action]) {
        guard isLaunching, !isAdopting else { return }
        isLaunching = false
        switch failure {
        case .cancelled:
            // Nobody but an end cancels; if it was something else, it is a failed launch like any other.
            if ending == nil { ending = .fault(Fault(kind: "launch", detail: "the launch was cancelled")) }
            settle(permanent: nil, now, &actions)
        case .waiting(let why):
            guard ending == nil else { return settle(permanent: nil, now, &actions) }
            backoffUntil = now + policy.waitPause()
            enter(.backoff, why, now, &actions)
        case .transient(let fault):
            if ending == nil { ending = .fault(fault) }
            lastFailure = FailureNote(at: now, run: run, fault: fault)
            settle(permanent: nil, now, &actions)
        case .permanent(let fault, let hint):
            if ending == nil { ending = .fault(fault) }
            lastFailure = FailureNote(at: now, run: run, fault: fault, postmortem: Postmortem(hint: hint))
            settle(permanent: fault.detail, now, &actions)
        }
    }

    mutating func concluded(_ conclusion: HealthConclusion, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, !isKilling else { return }
        if ending != nil {
            // Whoever is on the way out is only waited for as long as it works.
            if case .condemned(let why) = conclusion, state == .draining { kill(evidence: why, now, &actions) }
            return
        }
        switch conclusion {
        case .listening(let models):
            self.models = models
            if state == .loading { enter(.warming, "answers; a real request is being tried", now, &actions) }
        case .warm(let models), .healthy(let models):
            self.models = models
            startDeadline = nil
            works = true
            offer(now, &actions)
        case .modelsChanged(let models):
            self.models = models
            actions.append(.record)
        case .unhealthy(let why), .unreachable(let why):
            works = false
            isOffered = false
            // Still loading is not unhealthy: a start is judged by its progress.
            if state == .loading || state == .warming {
                reason = why
                actions.append(.record)
            } else {
                enter(.unhealthy, why, now, &actions)
            }
        case .misconfigured(let why):
            works = false
            isOffered = false
            enter(.misconfigured, why, now, &actions)
        case .condemned(let why):
            fail(Fault(kind: readySince == nil ? "health" : "hang", detail: why), evidence: why, now, &actions)
        }
    }

    /// It works: the gateway shall route to it, unless a person took it out.
    mutating func offer(_ now: Instant, _ actions: inout [Action]) {
        if isHeld {
            isOffered = false
            if readySince == nil {
                readySince = now
                policy.becameReady()
            }
            enter(.draining, "works; drained by the operator", now, &actions)
            return
        }
        guard !isOffered else {
            actions.append(.record)
            return
        }
        guard !isStandby else {
            enter(.warming, "works; takes the place of the earlier run next", now, &actions)
            return
        }
        isOffered = true
        isDrained = false
        reason = "works; the gateway's confirmation is awaited"
        if state == .loading { state = .warming; since = now }
        actions.append(.record)
    }

    mutating func confirmed(_ now: Instant, _ actions: inout [Action]) {
        guard isOffered, works, ending == nil, state != .ready else { return }
        if readySince == nil {
            readySince = now
            readyAfter = startedAt.map { now - $0 } ?? readyAfter
            policy.becameReady()
        }
        enter(.ready, "serving", now, &actions)
    }
}
