import Fleet

/// The newest events: a value. What happened before the daemon's start is in the journal.
struct Timeline: Sendable {
    /// How many are kept.
    static let most = 500

    private(set) var events: [TimelineEvent] = []
    /// The newest one's number; 0 before the first.
    private(set) var last: UInt64 = 0
    /// The newest runs' states: while an instance is replaced, two of its runs say something.
    private var states: [String: [UInt64: InstanceState]] = [:]

    /// Those behind a number, the oldest first.
    func after(_ number: UInt64) -> [TimelineEvent] { Array(events.drop { $0.number <= number }) }

    /// Adds an event.
    mutating func add(
        _ kind: TimelineEvent.Kind, at time: String, instance: String? = nil, run: UInt64? = nil,
        state: InstanceState? = nil, _ detail: String
    ) {
        last += 1
        if events.count == Self.most { events.removeFirst() }
        events.append(
            TimelineEvent(
                number: last, at: time, kind: kind, instance: instance, run: run, state: state, detail: detail))
    }

    /// Takes an instance's status: an event where a run of it is in another state than before.
    mutating func take(_ status: InstanceStatus) {
        let before = states[status.id]
        guard before?[status.run] != status.state else { return }
        states[status.id, default: [:]][status.run] = status.state
        if let runs = states[status.id], runs.count > 3, let oldest = runs.keys.min() {
            states[status.id]?[oldest] = nil
        }
        // An instance that has not been started is nothing that happened.
        if before == nil, status.state == .stopped { return }
        add(.state, at: status.since, instance: status.id, run: status.run, state: status.state, status.reason)
    }

    /// Forgets an instance that is no longer configured.
    mutating func forget(_ instance: String, at time: String) {
        guard states.removeValue(forKey: instance) != nil else { return }
        add(.state, at: time, instance: instance, "is no longer configured")
    }
}
