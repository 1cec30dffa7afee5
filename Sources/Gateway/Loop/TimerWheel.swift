/// Deadlines of clients' connections, cheap to move: a later deadline only writes a number, and the wheel finds out when
/// it comes by.
///
/// 1,024 slots of 8 ms. An entry further away than a turn of the wheel is put at its end and put again from there.
struct TimerWheel {
    /// The width of a slot, in nanoseconds.
    static let tick: UInt64 = 8_000_000
    private static let size: UInt64 = 1024

    private let slots: UnsafeMutablePointer<UnsafeMutablePointer<ClientConnection>?>
    private var current: UInt64
    // No entry is due before this tick; it may be too early after one was taken out.
    private var nextDue = UInt64.max
    /// How many entries.
    private(set) var count = 0

    /// A wheel that stands at this moment.
    init(now: UInt64) {
        slots = .allocate(capacity: Int(Self.size))
        slots.initialize(repeating: nil, count: Int(Self.size))
        current = now / Self.tick
    }

    /// Sets a connection's deadline, in nanoseconds; `UInt64.max` is none.
    @inline(__always) mutating func set(_ client: UnsafeMutablePointer<ClientConnection>, _ deadline: UInt64) {
        client.pointee.deadline = deadline
        if client.pointee.wheelTick != 0, client.pointee.wheelTick <= deadline / Self.tick &+ 1 { return }
        if deadline == .max { return }
        insert(client)
    }

    private mutating func insert(_ client: UnsafeMutablePointer<ClientConnection>) {
        remove(client)
        // Not before its time: the slot behind the one it falls into.
        let wanted = client.pointee.deadline / Self.tick &+ 1
        let tick = min(max(wanted, current &+ 1), current &+ Self.size &- 1)
        client.pointee.wheelTick = tick
        if tick < nextDue { nextDue = tick }
        let slot = Int(tick % Self.size)
        client.pointee.wheelNext = slots[slot]
        client.pointee.wheelPrevious = nil
        slots[slot]?.pointee.wheelPrevious = client
        slots[slot] = client
        count &+= 1
    }

    /// Takes a connection out.
    mutating func remove(_ client: UnsafeMutablePointer<ClientConnection>) {
        guard client.pointee.wheelTick != 0 else { return }
        if let previous = client.pointee.wheelPrevious {
            previous.pointee.wheelNext = client.pointee.wheelNext
        } else {
            slots[Int(client.pointee.wheelTick % Self.size)] = client.pointee.wheelNext
        }
        client.pointee.wheelNext?.pointee.wheelPrevious = client.pointee.wheelPrevious
        client.pointee.wheelNext = nil
        client.pointee.wheelPrevious = nil
        client.pointee.wheelTick = 0
        count &-= 1
    }

    /// The next connection whose deadline is over, taken out of the wheel; nil when there is none by now.
    mutating func expired(now: UInt64) -> UnsafeMutablePointer<ClientConnection>? {
        let target = now / Self.tick
        if target < nextDue {
            current = target
            return nil
        }
        while current <= target {
            while let client = slots[Int(current % Self.size)] {
                remove(client)
                if client.pointee.deadline <= now { return client }
                if client.pointee.deadline != .max { insert(client) }
            }
            if current == target { break }
            current = count == 0 ? target : current &+ 1
        }
        nextDue = firstTick()
        return nil
    }

    private func firstTick() -> UInt64 {
        guard count > 0 else { return .max }
        for tick in current..<(current &+ Self.size) where slots[Int(tick % Self.size)] != nil { return tick }
        return .max
    }

    /// How long the loop may sleep, in milliseconds, at most `limit`.
    @inline(__always) func timeout(now: UInt64, limit: Int32) -> Int32 {
        guard nextDue != .max else { return limit }
        let due = nextDue &* Self.tick
        if due <= now { return 0 }
        return Int32(min(UInt64(limit), (due &- now) / 1_000_000 &+ 1))
    }

    /// Gives the memory back.
    func destroy() { slots.deallocate() }
}
