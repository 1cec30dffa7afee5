/// How an instance that has just turned ready is eased in: for a while it counts as busier than it is, so that fewest
/// in flight does not send it everything at once while its caches are cold.
enum SlowStart {
    /// How long, in nanoseconds.
    static let window: UInt64 = 10_000_000_000

    /// What a count in flight stands for at an instance ready for so many nanoseconds, less than ``window``: as much
    /// more as there is time left, at most ten times. One with nothing in flight is as idle as any other: it takes its
    /// turn, one request at a time.
    static func load(_ inflight: Int, age: UInt64) -> Int {
        let share = max(age, window / 10)
        return Int(clamping: UInt64(inflight) &* window / share)
    }
}
