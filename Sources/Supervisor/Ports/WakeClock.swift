import Fleet

/// Time, injected: the machine's monotonic clock, or a virtual one in the tests.
public protocol WakeClock: Sendable {
    /// The present instant.
    func now() -> Instant
    /// Milliseconds since 1970 on the wall clock, for people only: nothing is ever decided by it.
    func wallMilliseconds() -> Int64
    /// Returns at the instant, or earlier when the task is cancelled.
    func sleep(until instant: Instant) async
}
