import Synchronization

/// How much trying again the process allows itself: 20 % of the traffic of the last 10 s, and at least 10 a second,
/// so that a fleet in trouble is not given its load twice over.
///
/// Counts by second in ten slots that loops share. Two loops that turn a slot over at the same moment may lose a
/// few counts; nothing else depends on them.
final class RetryBudget: Sendable {
    /// Seconds looked back on.
    static let window: UInt64 = 10
    /// Tries that are always allowed in a second.
    static let floor: UInt64 = 10
    /// One try for so many requests.
    static let share: UInt64 = 5

    private struct Slot: ~Copyable, Sendable {
        let second = Atomic<UInt64>(0)
        let requests = Atomic<UInt64>(0)
        let retries = Atomic<UInt64>(0)
    }

    private let slots: UnsafeSlots

    private struct UnsafeSlots: @unchecked Sendable {
        let base: UnsafeMutablePointer<Slot>
    }

    /// A budget with no traffic yet.
    init() {
        let base = UnsafeMutablePointer<Slot>.allocate(capacity: Int(Self.window))
        for index in 0..<Int(Self.window) { (base + index).initialize(to: Slot()) }
        slots = UnsafeSlots(base: base)
    }

    deinit {
        slots.base.deinitialize(count: Int(Self.window))
        slots.base.deallocate()
    }

    /// Counts a request.
    @inline(__always) func count(second: UInt64) {
        turn(second)
        _ = slots.base[Int(second % Self.window)].requests.wrappingAdd(1, ordering: .relaxed)
    }

    /// Takes one try out of the budget; false when there is none.
    func withdraw(second: UInt64) -> Bool {
        turn(second)
        var requests: UInt64 = 0
        var retries: UInt64 = 0
        for index in 0..<Int(Self.window) {
            let age = second &- slots.base[index].second.load(ordering: .relaxed)
            guard age < Self.window else { continue }
            requests += slots.base[index].requests.load(ordering: .relaxed)
            retries += slots.base[index].retries.load(ordering: .relaxed)
        }
        let slot = Int(second % Self.window)
        let now = slots.base[slot].retries.load(ordering: .relaxed)
        guard now < Self.floor || retries < requests / Self.share else { return false }
        _ = slots.base[slot].retries.wrappingAdd(1, ordering: .relaxed)
        return true
    }

    @inline(__always) private func turn(_ second: UInt64) {
        let slot = Int(second % Self.window)
        guard slots.base[slot].second.load(ordering: .relaxed) != second else { return }
        slots.base[slot].requests.store(0, ordering: .relaxed)
        slots.base[slot].retries.store(0, ordering: .relaxed)
        slots.base[slot].second.store(second, ordering: .relaxed)
    }
}
