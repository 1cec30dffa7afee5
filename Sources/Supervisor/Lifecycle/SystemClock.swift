import Fleet
import Glibc

/// The machine's clocks.
public struct SystemClock: WakeClock {
    /// The machine's clocks.
    public init() {}

    /// `CLOCK_MONOTONIC`.
    public func now() -> Instant { .now() }

    /// `CLOCK_REALTIME`.
    public func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Sleeps, to the millisecond or so.
    public func sleep(until instant: Instant) async {
        let left = instant - now()
        if left > .zero { try? await Task.sleep(for: left, tolerance: .milliseconds(1)) }
    }
}
