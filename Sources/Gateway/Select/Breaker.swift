/// Whether an instance is trusted with requests, by what became of the last ones: closed, open for a while after some
/// failures in a row, half-open while one single request tries it.
///
/// A value of 64 bits, so that all loops share one in an atomic; nought is closed with nothing against it.
struct Breaker: Equatable {
    /// Where it stands.
    enum Phase: UInt8 {
        /// Trusted; counts failures in a row. Next: open.
        case closed
        /// Not trusted until a moment. Next: half-open, closed.
        case open
        /// One request tries it since a moment. Next: closed, open.
        case halfOpen
    }

    /// What happened on the instance.
    enum Event {
        /// A request failed by the instance's fault.
        case failed
        /// A request got its answer.
        case succeeded
        /// The request that tried it ended without a verdict: its client left.
        case trialAbandoned
    }

    /// Whether a request may go there.
    enum Admission {
        /// As any other.
        case free
        /// As the one that tries.
        case trial
        /// Not now.
        case refused
    }

    /// Failures in a row that open it.
    static let threshold: UInt8 = 5
    /// How long it is open the first time, in milliseconds; it doubles with each trial that fails.
    static let firstPause: UInt64 = 1_000
    /// The longest pause, in milliseconds.
    static let longestPause: UInt64 = 30_000
    /// How long a trial may go without a verdict before another one is let through, in milliseconds.
    static let trialPatience: UInt64 = 60_000

    /// Where it stands.
    private(set) var phase: Phase
    /// Failures in a row while closed, pauses in a row otherwise.
    private(set) var count: UInt8
    /// Open: until then. Half-open: since then. Milliseconds of the monotonic clock.
    private(set) var moment: UInt64

    /// A closed one.
    init() { self.init(raw: 0) }

    /// One as it lies in an atomic.
    init(raw: UInt64) {
        phase = Phase(rawValue: UInt8(truncatingIfNeeded: raw & 3)) ?? .closed
        count = UInt8(truncatingIfNeeded: raw &>> 2)
        moment = raw &>> 10
    }

    /// As it lies in an atomic.
    var raw: UInt64 { UInt64(phase.rawValue) | UInt64(count) &<< 2 | moment &<< 10 }

    /// Whether a request may be let through at a moment, without letting it.
    func mayTry(at now: UInt64) -> Bool {
        switch phase {
        case .closed: return true
        case .open: return now >= moment
        case .halfOpen: return now >= moment &+ Self.trialPatience
        }
    }

    /// Lets a request through, or not.
    mutating func admit(at now: UInt64) -> Admission {
        if phase == .closed { return .free }
        guard mayTry(at: now) else { return .refused }
        phase = .halfOpen
        moment = now
        return .trial
    }

    /// Takes note.
    mutating func handle(_ event: Event, at now: UInt64) {
        switch (event, phase) {
        case (.succeeded, _): self = Breaker()
        case (.failed, .closed):
            count += 1
            if count >= Self.threshold {
                count = 0
                open(now)
            }
        case (.failed, .halfOpen): open(now)
        case (.trialAbandoned, .halfOpen):
            phase = .open
            moment = now
        case (.failed, .open), (.trialAbandoned, _): break
        }
    }

    private mutating func open(_ now: UInt64) {
        phase = .open
        moment = now &+ min(Self.firstPause &<< UInt64(min(count, 16)), Self.longestPause)
        if count < 16 { count += 1 }
    }
}
