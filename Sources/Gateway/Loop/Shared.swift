import CLinux
import Fleet
import Glibc
import Synchronization

/// What the loops of a process have in common.
final class Shared: Sendable {
    /// Tries that may be made again.
    let budget = RetryBudget()
    /// Bytes of request bodies kept at present.
    let bodyMemory = Atomic<Int>(0)
    /// Who made which response.
    let responses = ResponseDirectory()
    /// Written to when the control thread should look: a table switched to, a run idle, a loop done.
    let controlWake: Int32
    /// Each loop's eventfd.
    let loopWakes: [Int32]
    /// The context of TCP addresses: nought for plain HTTP, one where TLS is configured and no certificate can be used.
    let listenerTLS = Atomic<UInt>(0)
    /// Requests that wait for a place on an instance, of all loops.
    let queued = Atomic<Int>(0)
    /// The newest ticket of a request that waits.
    let tickets = Atomic<UInt64>(0)

    /// State common to loops that are woken, as the control thread is, by these eventfds.
    init(controlWake: Int32, loopWakes: [Int32]) {
        self.controlWake = controlWake
        self.loopWakes = loopWakes
    }

    /// Wakes the control thread.
    func wakeControl() { Self.signal(controlWake) }

    /// Adds one to an eventfd.
    static func signal(_ descriptor: Int32) {
        var one: UInt64 = 1
        _ = Glibc.write(descriptor, &one, 8)
    }

    /// Empties an eventfd.
    static func drain(_ descriptor: Int32) {
        var value: UInt64 = 0
        _ = Glibc.read(descriptor, &value, 8)
    }
}

/// What the control thread tells a loop, and what it may read of it.
final class LoopPort: @unchecked Sendable {
    /// Orders that have not been taken yet.
    struct Orders {
        /// Route by this from now on.
        var table: RoutingTable?
        /// Accept no more; the moment in nanoseconds at which to cut what is left.
        var retireBy: UInt64?
        /// End now.
        var stop = false
    }

    /// Orders; the loop takes them when ``wake`` is written to.
    let orders = Mutex(Orders())
    /// Lines of the access log that wait for the control thread.
    let lines = Mutex<[UInt8]>([])
    /// The loop's eventfd.
    let wake: Int32
    /// The loop's counts.
    let counters: UnsafeMutablePointer<LoopCounters>
    /// What the loop measures.
    let measures: UnsafeMutablePointer<LoopMeasures>
    /// Whether the loop has ended.
    let isDone = Atomic<Bool>(false)

    init() {
        wake = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        counters = .allocate(capacity: 1)
        counters.initialize(to: LoopCounters())
        measures = .allocate(capacity: 1)
        measures.initialize(to: LoopMeasures())
    }

    deinit {
        _ = Glibc.close(wake)
        counters.deinitialize(count: 1)
        counters.deallocate()
        measures.deinitialize(count: 1)
        measures.deallocate()
    }

    /// Gives an order.
    func order(_ change: (inout Orders) -> Void) {
        orders.withLock { change(&$0) }
        Shared.signal(wake)
    }
}
