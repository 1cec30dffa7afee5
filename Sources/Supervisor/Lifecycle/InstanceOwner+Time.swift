import Fleet
import Health

/// When the machines want to be asked, and being woken then.
extension InstanceOwner {
    /// One task sleeps until the next instant at which any machine wants to be asked.
    func arm() {
        guard !isOver, let wake = nextWake else {
            timer?.task.cancel()
            timer = nil
            return
        }
        if let timer, timer.wake == wake { return }
        timer?.task.cancel()
        let clock = services.clock
        timer = (
            wake,
            Task { [weak self] in
                await clock.sleep(until: wake)
                if Task.isCancelled { return }
                await self?.woken(wake)
            }
        )
    }

    private var nextWake: Instant? {
        var wakes: [Instant?] = [monitor?.nextWake, resolveAt]
        switch machine {
        case .launched(let lifecycle, _):
            wakes.append(lifecycle.nextWake)
            if isStarting { wakes.append(progress?.stallDeadline(at: services.clock.now())) }
        case .attached(let lifecycle, _): wakes.append(lifecycle.nextWake)
        }
        if isDirty, let lastRecordAt { wakes.append(lastRecordAt + .seconds(1)) }
        return wakes.compactMap { $0 }.min()
    }

    private func woken(_ wake: Instant) {
        timer = nil
        let now = services.clock.now()
        if isLaunched { feed(.launched(.tick)) } else { feed(.attached(.tick)) }
        if let due = monitor?.nextWake, due <= now { feed(.health(.tick)) }
        checkStall(now)
        if let due = resolveAt, due <= now { resolve() }
        if isDirty, let last = lastRecordAt, now - last >= .seconds(1) { emit(now) }
        arm()
    }
}
