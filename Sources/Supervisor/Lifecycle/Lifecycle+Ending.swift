import Fleet
import Health

/// How a run ends and what follows. The order is always: unpublish, drain, SIGTERM and SIGCONT, kill the whole tree,
/// clean up, and only then decide what comes next.
extension Lifecycle {
    /// Unpublishes and lets what is in flight finish, then ends the tree.
    mutating func end(_ why: String, _ now: Instant, _ actions: inout [Action]) {
        if ending == nil { ending = .asked }
        isOffered = false
        if isLaunching {
            enter(.stopping, why, now, &actions)
            actions.append(.cancelLaunch(run))
        } else if isDrained {
            terminate(why, now, &actions)
        } else {
            drainDeadline = now + timeouts.drain
            startDeadline = nil
            enter(.draining, why, now, &actions)
        }
    }

    /// Asks the server to end.
    mutating func terminate(_ why: String?, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, !isKilling, stopDeadline == nil else { return }
        drainDeadline = nil
        startDeadline = nil
        isOffered = false
        stopDeadline = now + timeouts.stop
        enter(.stopping, why ?? reason, now, &actions)
        actions.append(.endHealth(run))
        actions.append(.terminate(run))
    }

    /// Ends the whole tree by force: after SIGTERM's deadline, or because it is dead or condemned already.
    mutating func kill(evidence: String?, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, !isKilling else { return }
        drainDeadline = nil
        startDeadline = nil
        stopDeadline = nil
        isOffered = false
        isKilling = true
        killDeadline = now + Self.killPatience
        if state != .stopping { enter(.stopping, evidence ?? "its processes are being ended", now, &actions) }
        actions.append(.endHealth(run))
        actions.append(.endTree(run, evidence: evidence))
    }

    /// Ends a run that nobody asked to end.
    mutating func fail(_ fault: Fault, evidence: String?, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, !isKilling else { return }
        if ending == nil {
            ending = .fault(fault)
            lastFailure = FailureNote(at: now, run: run, fault: fault)
        }
        isOffered = false
        enter(.stopping, fault.detail, now, &actions)
        kill(evidence: evidence, now, &actions)
    }

    mutating func exited(_ exit: ProcessEnd, _ now: Instant, _ actions: inout [Action]) {
        if isLaunching { earlyExit = exit }
        guard hasTree else { return }
        pid = nil
        guard !isKilling else { return }
        let detail: String
        if let readySince {
            detail = "\(exit) after \(Self.seconds(now - readySince)) as ready"
        } else {
            detail = "\(exit) while \(state == .stopping ? "stopping" : "starting")"
        }
        let told = stopDeadline != nil || state == .draining
        if ending == nil {
            ending = .fault(Fault(kind: exit.kind, detail: detail))
            lastFailure = FailureNote(at: now, run: run, fault: Fault(kind: exit.kind, detail: detail))
        }
        // Told to end and ended: its helpers may be left all the same, so the tree is ended in any case.
        isOffered = false
        enter(.stopping, told ? "has ended (\(exit)); its tree is being cleaned up" : detail, now, &actions)
        kill(evidence: nil, now, &actions)
    }

    /// The server gives up some seconds after its engine; clients need not wait for that, and a log line about the
    /// cause is worth a short while.
    mutating func engineDied(_ who: String, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, !isKilling, stopDeadline == nil else { return }
        if ending == nil {
            let fault = Fault(kind: "engine", detail: "\(who) died")
            ending = .fault(fault)
            lastFailure = FailureNote(at: now, run: run, fault: fault)
        }
        terminate("\(who) died", now, &actions)
        stopDeadline = now + min(timeouts.stop, Self.engineDeathGrace)
    }

    mutating func drained(_ now: Instant, _ actions: inout [Action]) {
        guard !isOffered, !isDrained else { return }
        isDrained = true
        guard state == .draining else { return }
        if ending != nil {
            terminate(nil, now, &actions)
        } else {
            reason = "drained by the operator; nothing is in flight"
            actions.append(.record)
        }
    }

    mutating func cleaned(_ postmortem: Postmortem, _ now: Instant, _ actions: inout [Action]) {
        guard hasTree, isKilling else { return }
        hasTree = false
        isKilling = false
        killDeadline = nil
        pid = nil
        isDrained = true
        if case .fault = ending, var note = lastFailure, note.run == run {
            note.postmortem = postmortem
            if let kind = postmortem.kind { note.fault.kind = kind }
            if let cause = postmortem.cause { note.fault.detail += ": \(cause)" }
            if let file = postmortem.evidence { note.fault.detail += Self.evidenceMark + file }
            lastFailure = note
        }
        // Only a start can fail for good; what worked once may work again.
        let permanent = postmortem.isPermanent && readySince == nil
        settle(permanent: permanent ? lastFailure?.fault.detail : nil, now, &actions)
    }

    /// No tree is left: what comes next follows from what is wanted and from why it ended.
    mutating func settle(permanent: String?, _ now: Instant, _ actions: inout [Action]) {
        stopDeadline = nil
        drainDeadline = nil
        startDeadline = nil
        isOffered = false
        works = false
        models = []
        defer { ending = nil }
        guard goal == .run, !isFinal else {
            enter(.stopped, isFinal ? "ended with the daemon" : "stopped by the operator", now, &actions)
            return
        }
        guard !isBeingReplaced else {
            enter(.stopped, "has ended; the run that replaces it is being started", now, &actions)
            return
        }
        guard case .fault(let fault) = ending else { return start("started again on request", now, &actions) }
        let detail = lastFailure?.fault.detail ?? fault.detail
        if let permanent { return enter(.failed, permanent, now, &actions) }
        let verdict = readySince.map { policy.crashed(readyFor: now - $0, at: now) } ?? policy.startFailed()
        switch verdict {
        case .giveUp(let why):
            enter(.failed, "\(why); the last time: \(detail)", now, &actions)
        case .again(let pause):
            restarts += 1
            restartsByKind[fault.kind, default: 0] += 1
            backoffUntil = now + pause
            enter(.backoff, "\(detail); starts again in \(Self.seconds(pause))", now, &actions)
        }
    }
}
