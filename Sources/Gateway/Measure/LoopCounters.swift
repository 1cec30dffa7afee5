import Synchronization

/// One loop's counts: only the loop writes, the control thread reads at any time. Every count is a single plain store.
struct LoopCounters: ~Copyable {
    /// Kinds of (provider, route, status) that are told apart; more would be counted under no provider.
    static let capacity = 4096

    /// When the loop last turned, in nanoseconds of the monotonic clock.
    let heartbeat = Atomic<UInt64>(0)
    /// The serial number of the table it routes by.
    let table = Atomic<UInt64>(0)
    /// Requests between their head and their end.
    let active = Atomic<Int>(0)
    /// Connections of clients.
    let connections = Atomic<Int>(0)
    let requests = Atomic<UInt64>(0)
    let upstreamLost = Atomic<UInt64>(0)
    let slowReaders = Atomic<UInt64>(0)
    /// Lines of the access log that were left out because nobody could write them.
    let droppedLines = Atomic<UInt64>(0)
    private let keys: UnsafeMutablePointer<Atomic<UInt64>>
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>

    /// Counts at nought.
    init() {
        keys = .allocate(capacity: Self.capacity)
        counts = .allocate(capacity: Self.capacity)
        for index in 0..<Self.capacity {
            (keys + index).initialize(to: Atomic(0))
            (counts + index).initialize(to: Atomic(0))
        }
    }

    deinit {
        keys.deinitialize(count: Self.capacity)
        counts.deinitialize(count: Self.capacity)
        keys.deallocate()
        counts.deallocate()
    }

    /// Counts a request: by the provider's number, the route, and the status.
    @inline(__always) func count(provider: UInt16, route: Route, status: Int) {
        Self.add(requests)
        // Never nought, which is an empty place.
        let key =
            1 &<< 63 | UInt64(provider) &<< 24 | UInt64(route.rawValue) &<< 16 | UInt64(truncatingIfNeeded: status)
        var place = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 48) & (Self.capacity - 1)
        for _ in 0..<Self.capacity {
            let found = keys[place].load(ordering: .relaxed)
            if found == key { return Self.add(counts[place]) }
            if found == 0 {
                Self.add(counts[place])
                keys[place].store(key, ordering: .releasing)
                return
            }
            place = (place &+ 1) & (Self.capacity - 1)
        }
    }

    /// Calls with each kind's provider number, route, status and count.
    func each(_ body: (UInt16, Route, Int, UInt64) -> Void) {
        for place in 0..<Self.capacity {
            let key = keys[place].load(ordering: .acquiring)
            guard key != 0, let route = Route(rawValue: UInt8(truncatingIfNeeded: key >> 16)) else { continue }
            body(
                UInt16(truncatingIfNeeded: key >> 24), route, Int(key & 0xffff), counts[place].load(ordering: .relaxed))
        }
    }

    /// Adds one; only the loop's own thread may.
    @inline(__always) static func add(_ counter: borrowing Atomic<UInt64>) {
        counter.store(counter.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }
}
