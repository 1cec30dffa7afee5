import Fleet

/// What people and the daemon's end ask for, and who is woken by what.
extension Lifecycle {
    mutating func take(_ command: OperatorCommand, _ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        if isFinal {
            actions.append(
                .answer(waiter, .refused("\(instance) is being stopped for good: the daemon ends or it was removed")))
            return
        }
        switch command {
        case .start: takeStart(waiter, now, &actions)
        case .stop: takeStop(waiter, now, &actions)
        case .restart: takeRestart(waiter, now, &actions)
        case .drain: takeDrain(waiter, now, &actions)
        case .undrain: takeUndrain(waiter, now, &actions)
        }
    }

    private mutating func takeStart(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        goal = .run
        waiters.append((waiter, .running))
        switch state {
        case .stopped, .failed:
            policy.reset()
            isHeld = false
            start("started by the operator", now, &actions)
        case .backoff: start("started by the operator", now, &actions)
        default: break
        }
    }

    private mutating func takeStop(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        goal = .stop
        waiters.append((waiter, .stopped))
        stop("stopped by the operator", now, &actions)
    }

    private mutating func takeRestart(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        goal = .run
        waiters.append((waiter, .running))
        switch state {
        case .stopped, .failed:
            policy.reset()
            start("started by the operator", now, &actions)
        case .backoff: start("started by the operator", now, &actions)
        case .loading, .warming, .ready, .unhealthy, .misconfigured, .draining:
            if ending == nil { end("restarted by the operator", now, &actions) }
        case .starting, .stopping, .quarantined, .connecting: break
        }
    }

    private mutating func takeDrain(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        switch state {
        case .stopped, .failed, .stopping, .quarantined:
            actions.append(.answer(waiter, .refused("\(instance) is \(state.rawValue): there is nothing to drain")))
            return
        default: break
        }
        if ending == nil {
            isHeld = true
            isOffered = false
            if works {
                let why = isDrained ? "drained by the operator; nothing is in flight" : "drained by the operator"
                enter(.draining, why, now, &actions)
            } else {
                actions.append(.record)
            }
        }
        waiters.append((waiter, .drained))
    }

    private mutating func takeUndrain(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        guard isHeld else {
            actions.append(.answer(waiter, .refused("\(instance) is not drained")))
            return
        }
        isHeld = false
        guard works, ending == nil else {
            // It is published as soon as it works: nothing to wait for here.
            actions.append(.record)
            actions.append(.answer(waiter, nil))
            return
        }
        offer(now, &actions)
        waiters.append((waiter, .running))
    }

    mutating func shutdown(_ waiter: UInt64, _ now: Instant, _ actions: inout [Action]) {
        goal = .stop
        isFinal = true
        waiters.append((waiter, .ended))
        stop(isBeingReplaced ? "another run has its place" : "the daemon ends or it was removed", now, &actions)
    }

    /// Ends whatever there is, for an asked stop.
    private mutating func stop(_ why: String, _ now: Instant, _ actions: inout [Action]) {
        switch state {
        case .stopped: break
        case .failed, .backoff:
            backoffUntil = nil
            enter(.stopped, why, now, &actions)
        case .starting, .loading, .warming, .ready, .unhealthy, .misconfigured: end(why, now, &actions)
        case .draining: if ending == nil { end(why, now, &actions) }
        case .stopping, .quarantined, .connecting: break
        }
    }

    /// Answers everyone whose wait is over, one way or the other. Asked after every event: nobody is forgotten.
    mutating func wakeWaiters(_ actions: inout [Action]) {
        var left: [(id: UInt64, expectation: Expectation)] = []
        for waiter in waiters {
            switch outcome(of: waiter.expectation) {
            case .some(let failure): actions.append(.answer(waiter.id, failure))
            case .none: left.append(waiter)
            }
        }
        waiters = left
    }

    /// nil: wait on. `.some(nil)`: done. `.some(failure)`: will not come.
    private func outcome(of expectation: Expectation) -> ControlFailure?? {
        switch expectation {
        case .running:
            if goal == .stop { return .refused("\(instance) was stopped meanwhile") }
            if state == .quarantined { return .failed("\(instance) is quarantined: \(reason)") }
            if ending != nil { return nil }
            switch state {
            case .ready: return .some(nil)
            case .draining where isHeld && works: return .some(nil)
            case .failed, .misconfigured: return .failed("\(instance) is \(state.rawValue): \(reason)")
            default: return nil
            }
        case .stopped:
            if goal == .run { return .refused("\(instance) was started again meanwhile") }
            if state == .stopped { return .some(nil) }
            if state == .quarantined { return .failed("\(instance) is quarantined: \(reason)") }
            return nil
        case .drained:
            if goal == .stop { return .refused("\(instance) was stopped meanwhile") }
            // What is being taken over may have something in flight.
            if isAdopting { return nil }
            if !hasTree { return .some(nil) }
            if !isHeld, ending == nil { return .refused("\(instance) was undrained meanwhile") }
            return isDrained && !isOffered ? .some(nil) : nil
        case .ended:
            return state == .stopped || state == .quarantined ? .some(nil) : nil
        }
    }
}
