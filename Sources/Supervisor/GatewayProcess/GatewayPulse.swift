import Fleet

/// Decides when a gateway has stopped turning: a loop of it has given no heartbeat for 5 s.
///
/// A gateway that has just started has that long for its first one, and so has every gateway after a time in which this
/// supervisor itself did not turn (suspended, stopped): what it knows of others is then as old as its own sleep.
struct GatewayPulse: Sendable {
    /// How long a loop may be silent.
    static let patience: Duration = .seconds(5)
    /// A longer gap between two looks means that it was we who slept.
    static let longestGap: Duration = .seconds(3)

    private var pid: Int32?
    private var trusted: Instant
    private var looked: Instant

    init(at now: Instant) {
        trusted = now
        looked = now
    }

    /// Whether the gateway is to be killed and replaced. To be asked every second.
    ///
    /// - Parameter heartbeats: Each loop's newest, as reported; a loop that has not turned yet may show an instant of zero.
    mutating func isStuck(pid: Int32?, heartbeats: [Instant], at now: Instant) -> Bool {
        if pid != self.pid || now - looked > Self.longestGap { trusted = now }
        self.pid = pid
        looked = now
        guard pid != nil, let stalest = heartbeats.min() else { return false }
        return now - max(stalest, trusted) > Self.patience
    }
}
