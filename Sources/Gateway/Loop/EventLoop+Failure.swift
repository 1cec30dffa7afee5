import Glibc
import Synchronization

extension EventLoop {
    /// Does what the exchange has decided.
    func perform(_ client: ClientPointer, _ action: Exchange.Action, _ failure: RunFailure) {
        if action != .passOn, client.pointee.exchange.isSuspect { logSuspect(client, failure) }
        switch action {
        case .proceed: break
        case .passOn: commit(client)
        case .endStream: upstreamLost(client)
        case .fail(let code): failExchange(client, code, failure)
        case .retryFresh: retryFresh(client)
        case .retryElsewhere(let reason, let exempt): retryElsewhere(client, reason, exempt, failure)
        }
    }

    /// Notes a failure of the run that the request is on.
    private func noteFailure(_ client: ClientPointer, _ failure: RunFailure) {
        guard failure != .none, let run = client.pointee.run else { return }
        _ = run.pointee.failures.wrappingAdd(1, ordering: .relaxed)
        run.pointee.lastFailure.store(failure.rawValue, ordering: .relaxed)
    }

    /// The same instance again, on a new connection.
    private func retryFresh(_ client: ClientPointer) {
        if let upstream = client.pointee.upstream { closeUpstream(upstream) }
        let run = (0..<table.runCount).first { table.runs[$0].cell == client.pointee.run }
        guard let run else {
            // A newer table has dropped the run in the meantime.
            return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
        }
        LoopCounters.add(measures.pointee.retries[Exchange.Reason.allCases.count])
        connect(client, run, fresh: true)
    }

    /// Another instance, if there is one and the budget allows it.
    private func retryElsewhere(
        _ client: ClientPointer, _ reason: Exchange.Reason, _ exempt: Bool, _ failure: RunFailure
    ) {
        let failed = client.pointee.run
        client.pointee.triedRun = failed
        if client.pointee.exchange.asksInTurn { client.pointee.asked += 1 }
        let choice = alternative(client)
        guard exempt || (choice != .none && shared.budget.withdraw(second: now / 1_000_000_000)),
            let place = take(client, choice)
        else {
            if reason == .notFound {
                // Who could not be asked might have known it.
                if choice == .full { return failExchange(client, .queueFull, .none) }
                guard !client.pointee.exchange.hasRetriedElsewhere else {
                    return failExchange(client, .modelUnavailable, .none)
                }
                return failExchange(client, .responseNotFound, .none)
            }
            if exempt, choice != .none, mayWaitAgain(client) {
                leaveFailed(client, reason, failure)
                pool.give(&client.pointee.upstreamHead)
                return wait(client)
            }
            return perform(client, client.pointee.exchange.handle(.refusedRetry(reason)), failure)
        }
        leaveFailed(client, reason, failure)
        occupy(client, place)
        connect(client, place.run, fresh: false)
    }

    /// Whether a request whose instance has failed may wait for another one's place, as those do that come then: a death
    /// costs nobody an answer while another instance is only full.
    private func mayWaitAgain(_ client: ClientPointer) -> Bool {
        client.pointee.exchange.kind == .routed && !client.pointee.exchange.asksInTurn
            && shared.queued.load(ordering: .relaxed) < limits.queueLength
    }

    /// Leaves the run that has failed, for another try.
    private func leaveFailed(_ client: ClientPointer, _ reason: Exchange.Reason, _ failure: RunFailure) {
        if reason.isInstancesFault {
            noteFailure(client, failure)
            noteVerdict(client, .failed)
        }
        if let upstream = client.pointee.upstream { closeUpstream(upstream) }
        releaseLease(client)
        pool.give(&client.pointee.held)
        pool.give(&client.pointee.peek)
        LoopCounters.add(measures.pointee.retries[Int(reason.rawValue)])
    }

    /// Gives the exchange up with an error of our own; only while nothing of a response has left.
    func failExchange(
        _ client: ClientPointer, _ code: ErrorCode, _ failure: RunFailure, _ message: StaticString? = nil
    ) {
        noteFailure(client, failure)
        if failure != .none { noteVerdict(client, .failed) }
        logFailure(client, failure)
        if let upstream = client.pointee.upstream { closeUpstream(upstream) }
        releaseLease(client)
        releasePassthrough(client)
        pool.give(&client.pointee.held)
        pool.give(&client.pointee.peek)
        pool.give(&client.pointee.upstreamHead)
        refuse(client, code, message)
    }

    /// Says in the log why a server's certificate is not believed: at most one line a second and loop.
    func logDisbelief(_ client: ClientPointer, _ upstream: UpstreamPointer) {
        guard now >= nextLog, let why = upstream.pointee.socket.disbelief() else { return }
        GatewayLog.warning(
            "a model server's certificate is not believed",
            [("instance", instanceName(client)?.string ?? "-"), ("reason", why)])
    }

    /// Says in the log what a client is only told in general: at most one line a second and loop.
    private func logFailure(_ client: ClientPointer, _ failure: RunFailure) {
        guard let sentence = failure.sentence, now >= nextLog else { return }
        nextLog = now &+ 1_000_000_000
        GatewayLog.warning("a model server failed a request", failureMetadata(client, sentence))
    }

    /// Says in the log, always, that a request was in flight at two deaths: it may be what kills the engines.
    func logSuspect(_ client: ClientPointer, _ failure: RunFailure) {
        GatewayLog.warning(
            "a request was in flight at the deaths of two engines: it is suspect",
            failureMetadata(client, failure.sentence ?? "-"))
    }

    private func failureMetadata(_ client: ClientPointer, _ reason: String) -> [(StaticString, String)] {
        var id = ""
        client.pointee.requestID.withBytes { id = $0.string }
        return [("instance", instanceName(client)?.string ?? "-"), ("reason", reason), ("request_id", id)]
    }
}
