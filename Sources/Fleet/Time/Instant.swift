import CLinux

/// A point on the machine's monotonic clock (`CLOCK_MONOTONIC`), in nanoseconds since boot.
///
/// It never jumps with the wall clock and is comparable between processes of one boot, so the gateway's
/// and the supervisor's instants can be held against each other. Machines take it as an argument and never
/// read a clock: tests run in virtual time.
public struct Instant: Sendable, Hashable, Comparable, Codable {
    /// Nanoseconds since boot.
    public var nanoseconds: UInt64

    /// An instant at the given nanoseconds since boot.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The clock's present reading.
    public static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    /// The earlier instant is the lesser.
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// This instant moved by a duration; before boot is boot.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let moved = Int64(clamping: instant.nanoseconds).addingReportingOverflow(duration.nanoseconds)
        if moved.overflow { return Instant(nanoseconds: duration < .zero ? 0 : UInt64(Int64.max)) }
        return Instant(nanoseconds: UInt64(max(0, moved.partialValue)))
    }

    /// The time from `earlier` to `later`; negative when they are the other way round.
    public static func - (later: Instant, earlier: Instant) -> Duration {
        .nanoseconds(Int64(clamping: later.nanoseconds) - Int64(clamping: earlier.nanoseconds))
    }

    /// Codes as a bare number of nanoseconds.
    public init(from decoder: any Decoder) throws {
        nanoseconds = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Codes as a bare number of nanoseconds.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(nanoseconds)
    }
}

extension Duration {
    /// The duration in whole nanoseconds, clamped to what 64 bits hold (292 years).
    public var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let whole = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if whole.overflow { return seconds < 0 ? .min : .max }
        let sum = whole.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000)
        if sum.overflow { return seconds < 0 ? .min : .max }
        return sum.partialValue
    }

    /// The duration in seconds, with fractions.
    public var seconds: Double { Double(nanoseconds) / 1e9 }
}
