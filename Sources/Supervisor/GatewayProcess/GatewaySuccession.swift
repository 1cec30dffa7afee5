import Fleet

/// Decides which gateway process takes clients, and what becomes of the others: a value.
///
/// A new one takes its turn only when it serves, so that nobody waits; the one before it retires then: it accepts no more
/// and ends when its streams do. Of retired ones there are at most ``mostOld``: a gateway is not replaced before there is
/// room for it, so no stream is cut by a replacement.
struct GatewaySuccession: Sendable, Hashable {
    /// Retired ones at one time.
    static let mostOld = 2

    /// What can happen.
    enum Event: Sendable, Hashable {
        /// The daemon has begun; an earlier life may have left some. `isFit`: the current one is of this program and has
        /// these sockets and loops, and so has the successor, where there is one.
        case begin(current: Int32?, isFit: Bool, successor: Int32?, old: [Int32])
        /// Another program, or other sockets or loops.
        case renew
        /// One was started.
        case launched(Int32)
        /// None could be started.
        case launchFailed
        /// It routes by a snapshot of this supervisor.
        case serving(Int32)
        /// It does not come to serve.
        case stuck(Int32)
        /// Its process has ended.
        case exited(Int32)
    }

    /// What is to be done, in this order.
    enum Action: Sendable, Hashable {
        /// Start one, after a pause where others died young; to be answered by ``Event/launched(_:)`` or
        /// ``Event/launchFailed``, always.
        case launch(again: Bool)
        /// Tell it to accept no more.
        case retire(Int32)
        /// SIGKILL.
        case kill(Int32)
    }

    /// The one that takes clients; nil between two.
    private(set) var current: Int32?
    /// The one that is to take its turn as soon as it serves.
    private(set) var successor: Int32?
    /// Those that accept no more.
    private(set) var old: [Int32] = []
    /// Whether the current one is to be replaced.
    private(set) var isOutdated = false
    private var isLaunching = false

    /// Takes an event and says what to do, in order.
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .begin(let current, let isFit, let successor, let old):
            self.current = current
            self.successor = successor
            self.old = old
            if current == nil, let successor {
                self.current = successor
                self.successor = nil
            }
            isOutdated = !isFit
            return next(again: false)
        case .renew:
            isOutdated = true
            return next(again: false)
        case .launched(let pid):
            isLaunching = false
            if current == nil { current = pid } else { successor = pid }
            return next(again: false)
        case .launchFailed:
            isLaunching = false
            if current != nil { isOutdated = true }
            return next(again: true)
        case .serving(let pid):
            guard pid == successor, let before = current else { return [] }
            current = pid
            successor = nil
            old.append(before)
            return [.retire(before)] + next(again: false)
        case .stuck(let pid): return pid == successor ? [.kill(pid)] : []
        case .exited(let pid): return exited(pid)
        }
    }

    private mutating func exited(_ pid: Int32) -> [Action] {
        old.removeAll { $0 == pid }
        if pid == successor {
            // It died before its turn: what serves goes on meanwhile.
            successor = nil
            isOutdated = true
            return next(again: true)
        }
        if pid == current {
            current = successor
            successor = nil
            return next(again: true)
        }
        return next(again: false)
    }

    private mutating func next(again: Bool) -> [Action] {
        guard !isLaunching, successor == nil else { return [] }
        guard current == nil || (isOutdated && old.count < Self.mostOld) else { return [] }
        isLaunching = true
        isOutdated = false
        return [.launch(again: again)]
    }
}
