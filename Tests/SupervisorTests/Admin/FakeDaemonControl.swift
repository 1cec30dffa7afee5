import Fleet
import Synchronization

@testable import Supervisor

/// A daemon for the admin side's tests: a report that the test changes, commands that it remembers.
final class FakeDaemonControl: DaemonControl {
    struct State {
        var report: StatusReport
        var followers: [Int: AsyncStream<StatusReport>.Continuation] = [:]
        var nextFollower = 0
        var calls: [String] = []
        var logPaths: [String: String] = [:]
        var previousLogPaths: [String: String] = [:]
        var failures: [ControlFailure] = []
        var isSlow = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var attachedKeys: [String: String] = [:]
        var chats: [[UInt8]] = []
        var chatAnswer: (@Sendable () -> ChatAnswer)?
    }

    let state: Mutex<State>

    init(_ report: StatusReport = SampleReport.lively) { state = Mutex(State(report: report)) }

    /// What was asked, in order.
    var calls: [String] { state.withLock { $0.calls } }

    /// How many follow the status now.
    var followers: Int { state.withLock { $0.followers.count } }

    /// Changes the report and tells followers.
    func change(_ body: (inout StatusReport) -> Void) {
        state.withLock { state in
            body(&state.report)
            state.report.revision += 1
            for follower in state.followers.values { follower.yield(state.report) }
        }
    }

    /// The next commands fail like this.
    func fail(with failure: ControlFailure, times: Int = 1) {
        state.withLock { $0.failures = [ControlFailure](repeating: failure, count: times) }
    }

    /// Commands wait until ``release()``.
    func holdCommands() { state.withLock { $0.isSlow = true } }

    func release() {
        let waiters = state.withLock { state in
            state.isSlow = false
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func status() async -> StatusReport { state.withLock { $0.report } }

    func statusChanges() async -> AsyncStream<StatusReport> {
        let (stream, source) = AsyncStream.makeStream(of: StatusReport.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.nextFollower += 1
            state.followers[state.nextFollower] = source
            source.yield(state.report)
            return state.nextFollower
        }
        source.onTermination = { _ in self.state.withLock { $0.followers[number] = nil } }
        return stream
    }

    func act(_ command: OperatorCommand, on name: String) async throws(ControlFailure) {
        try check(name)
        await withCheckedContinuation { continuation in
            let isSlow = state.withLock { state in
                state.calls.append("\(command.rawValue) \(name)")
                if state.isSlow { state.waiters.append(continuation) }
                return state.isSlow
            }
            if !isSlow { continuation.resume() }
        }
    }

    func logPath(of instance: String, previous: Bool) async throws(ControlFailure) -> String? {
        try check(instance)
        return state.withLock { previous ? $0.previousLogPaths[instance] : $0.logPaths[instance] }
    }

    func attach(name: String, baseURL: String, apiKeyFile: String?) async throws(ControlFailure) {
        try throwFailure()
        state.withLock { state in
            state.calls.append("attach \(name) \(baseURL)")
            state.attachedKeys[name] = apiKeyFile
        }
    }

    func detach(name: String) async throws(ControlFailure) {
        try check(name)
        state.withLock { $0.calls.append("detach \(name)") }
    }

    func reload(planOnly: Bool) async throws(ControlFailure) -> ReloadReport {
        try throwFailure()
        state.withLock { $0.calls.append(planOnly ? "plan" : "reload") }
        return ReloadReport(
            added: ["chat-2"], changed: ["embed-0"], untouched: ["chat-0", "chat-1"], needsRestart: ["admin.listen"])
    }

    func history() async -> MinuteHistory {
        var history = MinuteHistory()
        history.take(
            state.withLock { $0.report.providers.flatMap(\.instances) }, inflight: 7, requestsTotal: 9, at: .now())
        return history
    }

    func timeline(after number: UInt64) async -> [TimelineEvent] {
        var timeline = Timeline()
        for instance in state.withLock({ $0.report.providers.flatMap(\.instances) }) { timeline.take(instance) }
        return timeline.after(number)
    }

    func tryChat(_ body: [UInt8]) async throws(ControlFailure) -> ChatAnswer {
        try throwFailure()
        let answer = state.withLock { state in
            state.chats.append(body)
            return state.chatAnswer
        }
        guard let answer else { throw .failed("the gateway does not answer") }
        return answer()
    }

    func metrics() async -> String { MetricsText(status: await status(), gateway: nil).render() }

    func engineMetrics() async -> String { "stoker_engine_scrape_up{instance=\"chat-0\",provider=\"chat\"} 1\n" }

    private func throwFailure() throws(ControlFailure) {
        let failure = state.withLock { state in
            state.failures.isEmpty ? nil : state.failures.removeFirst()
        }
        if let failure { throw failure }
    }

    private func check(_ name: String) throws(ControlFailure) {
        try throwFailure()
        let isKnown = state.withLock { state in
            state.report.providers.contains { $0.name == name || $0.instances.contains { $0.id == name } }
        }
        guard isKnown else { throw .noSuchInstance(name) }
    }
}
