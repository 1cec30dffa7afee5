import Fleet

/// Decides what systemd is told and when: `READY=1` once, `STATUS=` at every change, `EXTEND_TIMEOUT_USEC=` while a
/// load or a stop goes on, `WATCHDOG=1` while everything turns.
///
/// Sources: sd_notify(3), and the facts about systemd 252: EXTEND_TIMEOUT_USEC must be repeated, STATUS has one line.
struct SystemdReporter: Sendable {
    /// How far each EXTEND_TIMEOUT_USEC reaches; repeated every third of it.
    static let reach: Duration = .seconds(30)

    private enum Phase: Sendable { case starting, ready, stopping }

    private var phase = Phase.starting
    private var status = ""
    /// Added to STATUS while it holds: one line.
    var notice: String?
    private var isMoving = true
    private var isReloading = false
    private var extendAt: Instant
    private let watchdogInterval: Duration?
    private var feedAt: Instant

    /// - Parameters:
    ///   - watchdog: the unit's `WatchdogSec`, from `$WATCHDOG_USEC`; nil where it has none.
    ///   - isReadySent: whether the program that this one took the place of has sent READY=1.
    init(watchdog: Duration?, isReadySent: Bool = false, at now: Instant) {
        if isReadySent { phase = .ready }
        watchdogInterval = watchdog.map { $0 / 3 }
        extendAt = now
        feedAt = now
    }

    /// Whether READY=1 has been sent.
    var isReadySent: Bool { phase != .starting }

    /// The daemon's readiness, whenever it may have changed.
    ///
    /// - Parameter isMoving: whether some instance is on its way: its own stall limits end it if it does not get on, so
    ///   extending systemd's start timeout meanwhile is honest.
    mutating func readiness(_ readiness: Readiness, isMoving: Bool, at now: Instant) -> [String] {
        guard phase != .stopping else { return [] }
        self.isMoving = isMoving
        var messages: [String] = []
        var text = readiness.isHopeless ? "degraded: \(readiness.reason)" : readiness.reason
        if let notice { text += "; \(notice)" }
        if phase == .starting, readiness.isReady || readiness.isHopeless {
            phase = .ready
            messages.append("READY=1")
        }
        if text != status {
            status = text
            messages.append("STATUS=\(text)")
        }
        return messages
    }

    /// The daemon has been told to stop.
    mutating func stopping(_ text: String, at now: Instant) -> [String] {
        phase = .stopping
        extendAt = now
        return ["STOPPING=1", "STATUS=\(text)"] + tick(isTurning: true, at: now)
    }

    /// What was said last, once more.
    func again() -> [String] { status.isEmpty ? [] : ["STATUS=\(status)"] }

    /// Progress of stopping, for `systemctl status`.
    mutating func stopProgress(_ text: String) -> [String] {
        guard text != status else { return [] }
        status = text
        return ["STATUS=\(text)"]
    }

    /// A reload begins. Before READY=1 nothing is said: the unit is not active yet, and would be taken for it afterwards.
    mutating func reloading(at now: Instant) -> [String] {
        guard phase == .ready, !isReloading else { return [] }
        isReloading = true
        extendAt = now
        return ["RELOADING=1\nMONOTONIC_USEC=\(now.nanoseconds / 1000)"]
    }

    /// The reload is over, whatever its outcome.
    mutating func reloaded() -> [String] {
        isReloading = false
        return phase == .ready ? ["READY=1"] : []
    }

    /// What time alone brings.
    ///
    /// - Parameter isTurning: whether every part that the watchdog vouches for has turned lately.
    mutating func tick(isTurning: Bool, at now: Instant) -> [String] {
        var messages: [String] = []
        let isExtending = phase == .stopping || isReloading || (phase == .starting && isMoving)
        if isExtending, now >= extendAt {
            extendAt = now + Self.reach / 3
            messages.append("EXTEND_TIMEOUT_USEC=\(Self.reach.nanoseconds / 1000)")
        }
        if let watchdogInterval, isTurning, now >= feedAt {
            feedAt = now + watchdogInterval
            messages.append("WATCHDOG=1")
        }
        return messages
    }
}
