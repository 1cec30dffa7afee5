import Synchronization

extension EventLoop {
    /// The most in flight that a request's run may have: what asks no engine for work is not limited.
    @inline(__always) func streamLimit(_ client: ClientPointer) -> Int {
        switch client.pointee.exchange.kind {
        case .routed, .upload: return limits.streamsPerInstance
        case .passthrough: return client.pointee.head.method == .post ? limits.streamsPerInstance : 0
        case .inquiry: return 0
        }
    }

    /// Takes a place on the chosen run; nil when somebody else had its last one, or the one try that its breaker allows.
    @inline(__always) func take(_ client: ClientPointer, _ choice: Chooser.Choice) -> RunPlace? {
        let run: Int
        var isLast = client.pointee.exchange.kind == .inquiry
        switch choice {
        case .run(let index): run = index
        case .last(let index):
            run = index
            isLast = true
        case .full, .none: return nil
        }
        let cell = table.runs[run].cell
        let limit = streamLimit(client)
        if limit > 0 {
            var current = cell.pointee.inflight.load(ordering: .relaxed)
            while true {
                if current >= limit { return nil }
                let outcome = cell.pointee.inflight.weakCompareExchange(
                    expected: current, desired: current &+ 1, ordering: .sequentiallyConsistent)
                if outcome.exchanged { break }
                current = outcome.original
            }
        } else {
            _ = cell.pointee.inflight.wrappingAdd(1, ordering: .relaxed)
        }
        if isLast || cell.pointee.breaker.load(ordering: .relaxed) == 0 { return RunPlace(run: run, isTrial: false) }
        switch cell.pointee.changeBreaker({ $0.admit(at: now / 1_000_000) }) {
        case .free: return RunPlace(run: run, isTrial: false)
        case .trial: return RunPlace(run: run, isTrial: true)
        case .refused:
            giveBack(cell)
            return nil
        }
    }

    /// The request is in flight on a run from now on.
    @inline(__always) func occupy(_ client: ClientPointer, _ place: RunPlace) {
        let route = table.runs[place.run]
        client.pointee.run = route.cell
        client.pointee.loggedRun = route.cell
        client.pointee.isTrial = place.isTrial
        client.pointee.providerNumber = table.providerNumbers[Int(route.provider)]
    }

    /// The request is not in flight any more. The control thread hears at once when that ends a drain.
    @inline(__always) func releaseLease(_ client: ClientPointer) {
        guard let run = client.pointee.run else { return }
        if client.pointee.isTrial {
            client.pointee.isTrial = false
            run.pointee.changeBreaker { $0.handle(.trialAbandoned, at: now / 1_000_000) }
        }
        client.pointee.run = nil
        giveBack(run)
    }

    @inline(__always) private func giveBack(_ run: RunPointer) {
        // In one order with whoever begins to wait: either this sees it, or it sees the place.
        let left = run.pointee.inflight.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
        if shared.queued.load(ordering: .sequentiallyConsistent) > 0 { offer(run) }
        if left == 0, !run.pointee.published.load(ordering: .acquiring) { shared.wakeControl() }
    }

    /// Tells the breaker of the run that the request is on what became of it.
    @inline(__always) func noteVerdict(_ client: ClientPointer, _ event: Breaker.Event) {
        guard let run = client.pointee.run else { return }
        if event == .succeeded, run.pointee.breaker.load(ordering: .relaxed) == 0 { return }
        run.pointee.changeBreaker { $0.handle(event, at: now / 1_000_000) }
    }
}
