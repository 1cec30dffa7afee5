import Fleet

extension HealthMonitor {
    /// One kind of probe: its schedule, and what it said last. At most one is under way.
    struct Lane: Sendable {
        var outstanding: Outstanding?
        /// When the next is to be sent; one under way is awaited first.
        var due: Instant?
        /// In a row.
        var failures = 0
        /// In a row.
        var successes = 0
        var word: Word?
        /// How long the newest answer, or the waiting for it, took.
        var elapsed: Duration?

        struct Outstanding: Sendable {
            var id: UInt64
            var began: Instant
            /// Later than any honest prober answers.
            var deadline: Instant
        }

        /// What it said last.
        struct Word: Sendable {
            var at: Instant
            var ok: Bool
            var detail: String
        }

        mutating func succeeded(_ detail: String, at now: Instant) {
            failures = 0
            successes += 1
            word = Word(at: now, ok: true, detail: detail)
        }

        mutating func failed(_ detail: String, at now: Instant, counts: Bool = true) {
            if counts { failures += 1 }
            successes = 0
            word = Word(at: now, ok: false, detail: detail)
        }

        /// Leaves what is under way unheard.
        mutating func forget() {
            outstanding = nil
            failures = 0
            successes = 0
        }
    }

    /// The four lanes.
    struct Lanes: Sendable {
        var models = Lane()
        var health = Lane()
        var metrics = Lane()
        var request = Lane()

        subscript(kind: ProbeKind) -> Lane {
            get {
                switch kind {
                case .models: return models
                case .health: return health
                case .metrics: return metrics
                case .request: return request
                }
            }
            set {
                switch kind {
                case .models: models = newValue
                case .health: health = newValue
                case .metrics: metrics = newValue
                case .request: request = newValue
                }
            }
        }
    }
}
