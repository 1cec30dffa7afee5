import Fleet

/// Decides how one launched instance becomes another: its next run is a server of the new configuration. A value.
///
/// Where the machine has room for both, the new one is started beside the old one, which serves on; it is offered when it
/// works, and the snapshot that publishes it drains the old one (``RegistryReduction`` publishes one run of an instance and
/// no more). Only when every gateway routes to it is the old one ended. If it fails, the old one never noticed.
/// Where there is no room, the old one drains and ends first.
struct Replacement: Sendable, Hashable {
    /// Which of the two goes first.
    enum Order: Sendable, Hashable {
        /// The new one is ready before the old one drains.
        case newFirst
        /// The old one ends before the new one starts.
        case oldFirst
    }

    /// What can happen.
    enum Event: Sendable, Hashable {
        /// Once, at first.
        case begin
        /// A real request of the new one worked.
        case works
        /// Every gateway routes to the new one.
        case ready
        /// The new one will not serve without help; the sentence says why.
        case settled(String)
        /// The old one has ended by itself.
        case oldLost
        /// The old one was ended, whole.
        case oldGone
        /// The new one was ended, whole.
        case newGone
        /// Another reload, a person or the daemon's end wants something else.
        case cancel(String)
    }

    /// What is to be done, in this order.
    enum Action: Sendable, Hashable {
        /// Start the new one; where it is held it is not offered before it is told to be.
        case start(held: Bool)
        /// Offer the new one as soon as it works.
        case offer
        /// From now on the new one is the instance; drain and end the old one: to be answered by ``Event/oldGone``.
        case retireOld
        /// End the new one; to be answered by ``Event/newGone``. The old one is the instance as before.
        case endNew
        /// It is over.
        case finish(Outcome)
    }

    /// What came of it.
    enum Outcome: Sendable, Hashable {
        /// The new one serves, the old one is gone.
        case replaced
        /// The new one cannot serve; the sentence says why.
        case failed(String, oldServes: Bool)
        /// It was given up.
        case cancelled(String, oldServes: Bool)
    }

    private enum Phase: Sendable, Hashable {
        /// Next: loading, draining.
        case idle
        /// The new one starts beside the old one. Next: offering, alone, ending.
        case loading
        /// It works and is being published. Next: retiring, alone, ending.
        case offering
        /// It serves; the old one drains. Next: done.
        case retiring
        /// The old one has gone by itself. Next: done.
        case alone
        /// The new one is given up. Next: done.
        case ending(Outcome)
        /// The old one goes first. Next: starting, done.
        case draining(cancelled: String?)
        /// The new one starts after it. Next: done.
        case starting
        case done
    }

    /// Which goes first.
    let order: Order
    private var phase = Phase.idle
    private var isOldGone = false

    /// One that has not begun.
    init(_ order: Order) { self.order = order }

    /// Whether it is over.
    var isDone: Bool { phase == .done }

    /// Takes an event and says what to do, in order.
    mutating func handle(_ event: Event) -> [Action] {
        if event == .oldGone { isOldGone = true }
        switch (phase, event) {
        case (.idle, .begin):
            phase = order == .newFirst ? .loading : .draining(cancelled: nil)
            return order == .newFirst ? [.start(held: true)] : [.retireOld]
        case (.loading, .works):
            phase = .offering
            return [.offer]
        case (.loading, .settled(let why)), (.offering, .settled(let why)):
            return end(.failed(why, oldServes: true))
        case (.loading, .cancel(let why)), (.offering, .cancel(let why)):
            return end(.cancelled(why, oldServes: true))
        case (.loading, .oldLost), (.offering, .oldLost):
            // Nobody serves: whoever works first does. The old one is not started again, its time is over.
            phase = .alone
            return [.offer, .retireOld]
        case (.offering, .ready):
            phase = .retiring
            return [.retireOld]
        case (.retiring, .oldGone): return finish(.replaced)
        case (.alone, .ready): return isOldGone ? finish(.replaced) : retiring()
        case (.alone, .settled(let why)): return finish(.failed(why, oldServes: false))
        case (.alone, .cancel(let why)): return finish(.cancelled(why, oldServes: false))
        case (.ending(let outcome), .newGone): return finish(outcome)
        case (.draining(nil), .cancel(let why)):
            phase = .draining(cancelled: why)
            return []
        case (.draining(let cancelled), .oldGone):
            if let cancelled { return finish(.cancelled(cancelled, oldServes: false)) }
            phase = .starting
            return [.start(held: false)]
        case (.starting, .ready): return finish(.replaced)
        case (.starting, .settled(let why)): return finish(.failed(why, oldServes: false))
        case (.starting, .cancel(let why)): return finish(.cancelled(why, oldServes: false))
        default: return []
        }
    }

    private mutating func retiring() -> [Action] {
        phase = .retiring
        return []
    }

    private mutating func end(_ outcome: Outcome) -> [Action] {
        phase = .ending(outcome)
        return [.endNew]
    }

    private mutating func finish(_ outcome: Outcome) -> [Action] {
        phase = .done
        return [.finish(outcome)]
    }
}
