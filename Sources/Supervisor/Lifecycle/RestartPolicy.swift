import Fleet

/// Whether and when an instance that ended is started again. A value: no clock, no chance but the seed's.
///
/// Two budgets are kept apart, as they mean different things: crashes after `ready` within a window (something breaks
/// under load), and starts in a row that never got ready (it cannot work as it is).
public struct RestartPolicy: Sendable, Hashable {
    /// What to do after an end that nobody asked for.
    public enum Verdict: Sendable, Hashable {
        /// Start again after this pause.
        case again(after: Duration)
        /// Not again; the sentence says which budget is spent.
        case giveUp(String)
    }

    /// The shortest time as `ready` that makes an instance count as stable again; with a longer pause behind it,
    /// twice that pause.
    public static let stableTime: Duration = .seconds(60)

    /// What was spent of the budgets: kept over a change of program.
    struct Spent: Sendable, Hashable, Codable {
        /// Crashes after ready.
        var crashes: [Instant] = []
        /// Starts in a row that never got ready.
        var startsInARow = 0
        /// Pauses since it was last stable.
        var pauses = 0
    }

    /// The rules; another reload, other rules.
    var configuration: RestartConfiguration
    private var random: SeededGenerator
    var spent = Spent()

    /// A policy with full budgets.
    public init(_ configuration: RestartConfiguration, seed: UInt64) {
        self.configuration = configuration
        random = SeededGenerator(seed: seed)
    }

    /// A person asked for a start: all budgets are full again, the next pause is the shortest.
    public mutating func reset() {
        spent = Spent()
    }

    /// The instance got ready: starts in a row begin anew.
    public mutating func becameReady() { spent.startsInARow = 0 }

    /// A run that had been ready ended by itself or was condemned.
    ///
    /// - Parameter readyFor: How long it had been ready; a stable one is paid back its pauses.
    public mutating func crashed(readyFor: Duration, at now: Instant) -> Verdict {
        let last = pause(spent.pauses - 1)
        if readyFor >= max(Self.stableTime, last + last) { spent.pauses = 0 }
        spent.crashes.append(now)
        spent.crashes.removeAll { now - $0 > configuration.budgetWindow }
        if spent.crashes.count > configuration.budget {
            let window = Int(configuration.budgetWindow.seconds)
            return .giveUp(
                "crashed \(spent.crashes.count) times within \(window) s, more than the budget of \(configuration.budget)"
            )
        }
        return .again(after: nextPause())
    }

    /// A start ended without ever getting ready.
    public mutating func startFailed() -> Verdict {
        spent.startsInARow += 1
        if spent.startsInARow >= configuration.startBudget {
            return .giveUp(
                "\(spent.startsInARow) starts in a row never got ready, the start budget is \(configuration.startBudget)"
            )
        }
        return .again(after: nextPause())
    }

    /// The pause before trying again what is nobody's fault, such as waiting for GPU memory: spends nothing.
    public mutating func waitPause() -> Duration { jittered(max(configuration.backoffMin, .seconds(2))) }

    private mutating func nextPause() -> Duration {
        let duration = pause(spent.pauses)
        spent.pauses += 1
        return jittered(duration)
    }

    /// `backoffMin · 2ⁿ`, at most `backoffMax`.
    private func pause(_ exponent: Int) -> Duration {
        guard exponent >= 0 else { return .zero }
        var duration = configuration.backoffMin
        for _ in 0..<exponent {
            if duration >= configuration.backoffMax || duration == .zero { break }
            duration += duration
        }
        return min(duration, configuration.backoffMax)
    }

    /// Between half of the pause and all of it: instances that fell together do not rise together.
    private mutating func jittered(_ duration: Duration) -> Duration {
        let nanoseconds = duration.nanoseconds
        guard nanoseconds > 1 else { return duration }
        return .nanoseconds(Int64.random(in: nanoseconds / 2...nanoseconds, using: &random))
    }
}
