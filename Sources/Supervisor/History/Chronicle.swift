import Fleet
import Synchronization

/// What people are told of the past: events, the last minutes, how long starts took. It sees every owner's records before
/// the registry does; nothing is ever decided by it.
final class Chronicle: Sendable {
    private struct State {
        var timeline = Timeline()
        var history = MinuteHistory()
        var loads: LoadTimes
        /// Since when an instance's present run starts, in milliseconds of the wall clock.
        var started: [String: (run: UInt64, at: Int64)] = [:]
        /// The last run of an instance whose start was counted.
        var counted: [String: UInt64] = [:]
    }

    private let state: Mutex<State>
    private let path: String
    private let clock: any WakeClock

    /// A chronicle of a daemon that begins.
    ///
    /// - Parameter path: Where the starts' times are kept.
    init(path: String, clock: any WakeClock = SystemClock()) {
        self.path = path
        self.clock = clock
        state = Mutex(State(loads: LoadTimes.read(path)))
    }

    private var now: String { Timestamp.text(milliseconds: clock.wallMilliseconds()) }

    // MARK: owners

    /// Takes what is worth remembering of a record.
    func take(_ record: InstanceRecord) {
        let status = record.status
        let changed = state.withLock { state -> LoadTimes? in
            state.timeline.take(status)
            guard record.kind == .launched else { return nil }
            if status.state == .starting, state.started[status.id]?.run != status.run {
                state.started[status.id] = (status.run, clock.wallMilliseconds())
            }
            // Only of a run that was seen from its beginning: one that was taken over says nothing.
            guard status.state == .ready, let model = record.model, let took = record.measures.readyAfter,
                state.started[status.id]?.run == status.run, state.counted[status.id] != status.run
            else { return nil }
            state.counted[status.id] = status.run
            state.loads.add(took, provider: record.provider, model: model)
            return state.loads
        }
        changed?.write(path)
    }

    /// Forgets an instance.
    func forget(instance: String) {
        let now = now
        state.withLock { state in
            state.timeline.forget(instance, at: now)
            state.started[instance] = nil
            state.counted[instance] = nil
        }
    }

    // MARK: the daemon

    /// Adds an event that is not an instance's own.
    func note(_ kind: TimelineEvent.Kind, instance: String? = nil, _ detail: String) {
        let now = now
        state.withLock { $0.timeline.add(kind, at: now, instance: instance, detail) }
    }

    /// Takes a sample for the last minutes.
    func sample(_ records: [InstanceStatus], inflight: Int, requestsTotal: UInt64) {
        let now = clock.now()
        state.withLock { $0.history.take(records, inflight: inflight, requestsTotal: requestsTotal, at: now) }
    }

    // MARK: views

    /// The number of the newest event.
    var lastEvent: UInt64 { state.withLock { $0.timeline.last } }

    /// Events behind a number, the oldest first.
    func events(after number: UInt64) -> [TimelineEvent] { state.withLock { $0.timeline.after(number) } }

    /// The last minutes.
    var history: MinuteHistory { state.withLock { $0.history } }

    /// When an instance that starts should be ready; nil where it does not start or nothing is known.
    func expectedReady(_ status: InstanceStatus, provider: String, model: String?) -> InstanceStatus.ExpectedReady? {
        guard [.starting, .loading, .warming].contains(status.state), let model else { return nil }
        return state.withLock { state in
            guard let began = state.started[status.id], began.run == status.run,
                let estimate = state.loads.estimate(provider: provider, model: model)
            else { return nil }
            let at = Timestamp.text(milliseconds: began.at + Int64(estimate.seconds * 1000))
            return InstanceStatus.ExpectedReady(at: at, seconds: estimate.seconds, loads: estimate.loads)
        }
    }
}
