import Fleet

/// Carries out one ``Replacement``: feeds it what both owners' records say, and does what it answers.
actor Replacer {
    /// What is done for it elsewhere, by the daemon.
    struct Hands: Sendable {
        /// Makes the new owner, which begins at once; held where it waits for its turn.
        var start:
            @Sendable (_ held: Bool, _ observe: @escaping @Sendable (InstanceRecord) -> Void) async -> InstanceOwner
        /// The new owner is the instance's from now on.
        var promote: @Sendable () async -> Void
        /// An owner has ended, whole: it is to be forgotten.
        var forgetOld: @Sendable () async -> Void
        /// The new owner has ended, whole: it is to be forgotten, and the old one goes on.
        var forgetNew: @Sendable () async -> Void
    }

    private var machine: Replacement
    private let old: InstanceOwner
    private let hands: Hands
    private var new: InstanceOwner?
    private var result: Replacement.Outcome?
    private var waiters: [CheckedContinuation<Replacement.Outcome, Never>] = []
    private let inbox: AsyncStream<Replacement.Event>.Continuation

    /// A replacement that has begun.
    init(_ order: Replacement.Order, old: InstanceOwner, hands: Hands) {
        machine = Replacement(order)
        self.old = old
        self.hands = hands
        let (events, inbox) = AsyncStream.makeStream(of: Replacement.Event.self)
        self.inbox = inbox
        Task { for await event in events { await self.take(event) } }
        inbox.yield(.begin)
    }

    /// Gives it up, as far as that is still possible.
    nonisolated func cancel(_ why: String) { inbox.yield(.cancel(why)) }

    /// What the old owner's record says.
    nonisolated func oldSaid(_ record: InstanceRecord) {
        switch record.status.state {
        case .stopping, .backoff, .failed, .stopped, .quarantined, .starting: inbox.yield(.oldLost)
        case .loading, .warming, .ready, .unhealthy, .draining, .connecting, .misconfigured: break
        }
    }

    /// Ends drains.
    func hurry() async {
        await old.hurry()
        await new?.hurry()
    }

    /// Waits for the end.
    func outcome() async -> Replacement.Outcome {
        if let result { return result }
        return await withCheckedContinuation { waiters.append($0) }
    }

    private func take(_ event: Replacement.Event) async {
        for action in machine.handle(event) { await perform(action) }
    }

    private func perform(_ action: Replacement.Action) async {
        switch action {
        case .start(let held):
            await old.beSuperseded()
            let inbox = inbox
            new = await hands.start(held) { record in
                if let event = Self.event(record) { inbox.yield(event) }
            }
        case .offer: await new?.takeTurn()
        case .retireOld:
            if new != nil { await hands.promote() }
            Task {
                await old.shutdown()
                await hands.forgetOld()
                inbox.yield(.oldGone)
            }
        case .endNew:
            guard let new else {
                inbox.yield(.newGone)
                return
            }
            Task {
                await new.shutdown()
                await hands.forgetNew()
                await old.beReinstated(lastRun: new.lastRun)
                inbox.yield(.newGone)
            }
        case .finish(let outcome):
            result = outcome
            inbox.finish()
            for waiter in waiters { waiter.resume(returning: outcome) }
            waiters = []
        }
    }

    /// What the new owner's record means.
    private static func event(_ record: InstanceRecord) -> Replacement.Event? {
        switch record.status.state {
        case .ready: return .ready
        case .failed, .misconfigured, .quarantined: return .settled(record.status.reason)
        default: return record.isProven ? .works : nil
        }
    }
}
