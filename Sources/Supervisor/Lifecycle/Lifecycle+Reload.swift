import Fleet

/// What a reload brings: other rules, and another run of the same instance.
extension Lifecycle {
    /// Goes on by these rules. What is being waited for is waited for by the new ones; a failed instance gets fresh budgets.
    mutating func take(
        _ restart: RestartConfiguration, _ new: LaunchTimeouts, _ now: Instant, _ actions: inout [Action]
    ) {
        let old = timeouts
        timeouts = new
        policy.configuration = restart
        startDeadline = startDeadline.map { $0 + (new.startMax - old.startMax) }
        drainDeadline = drainDeadline.map { $0 + (new.drain - old.drain) }
        // Not that of an engine that has died: it is short for a reason.
        if ending == .asked { stopDeadline = stopDeadline.map { $0 + (new.stop - old.stop) } }
        guard state == .failed, goal == .run, !isFinal else { return }
        policy.reset()
        start("the configuration was reloaded", now, &actions)
    }

    mutating func beginAnew(_ now: Instant, _ actions: inout [Action]) {
        guard state == .stopped, goal == .stop, !isFinal else { return }
        goal = .run
        start("replaces run \(run)", now, &actions)
    }

    mutating func turn(_ now: Instant, _ actions: inout [Action]) {
        guard isStandby else { return }
        isStandby = false
        if works, ending == nil, hasTree { offer(now, &actions) }
    }

    mutating func reinstated(_ lastRun: UInt64, _ now: Instant, _ actions: inout [Action]) {
        guard isBeingReplaced else { return }
        isBeingReplaced = false
        earlierRuns = max(earlierRuns, lastRun)
        if state == .stopped, goal == .run, !isFinal { start("the run that was to replace it did not", now, &actions) }
    }
}
