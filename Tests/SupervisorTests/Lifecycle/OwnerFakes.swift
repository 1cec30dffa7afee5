import Fleet
import Health
import Logging
import Synchronization

@testable import Supervisor

/// Engines that exist only as values: at most one at a time, which is checked.
final class FakeSpawner: Spawner {
    struct State {
        var launches = 0
        var living: [UInt64: FakeServer] = [:]
        var overlapped = false
        var outcome: @Sendable (UInt64) -> LaunchFailure? = { _ in nil }
        var hangs = false
        /// Whether an earlier life left the last run running.
        var left = false
    }

    let state = Mutex(State())
    let first: UInt64

    init(lastRun: UInt64 = 0) { first = lastRun }

    var living: FakeServer? { state.withLock { $0.living.values.first } }
    var overlapped: Bool { state.withLock { $0.overlapped } }
    var launches: Int { state.withLock { $0.launches } }

    func lastRun(of instance: String) -> UInt64 { first }

    func adopt(
        _ plan: InstancePlan, logRead: Int64?, report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> AdoptedServer? {
        guard state.withLock({ $0.left }) else { return nil }
        let server = FakeServer(run: first, spawner: self, report: report)
        state.withLock { $0.living[first] = server }
        return AdoptedServer(run: first, server: server)
    }

    func launch(
        _ order: LaunchOrder, report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> Result<any LaunchedServer, LaunchFailure> {
        state.withLock { $0.launches += 1 }
        while state.withLock({ $0.hangs }) {
            report(.waiting("waits for memory of GPU 0: pid 7 holds it"))
            try? await Task.sleep(for: .milliseconds(5))
            if Task.isCancelled { return .failure(.cancelled) }
        }
        if let failure = state.withLock({ $0.outcome })(order.run) { return .failure(failure) }
        let server = FakeServer(run: order.run, spawner: self, report: report)
        state.withLock { state in
            if !state.living.isEmpty { state.overlapped = true }
            state.living[order.run] = server
        }
        return .success(server)
    }
}

/// A server without a process.
final class FakeServer: LaunchedServer {
    let run: UInt64
    let report: @Sendable (ServerEvent) -> Void
    let terminations = Mutex(0)
    /// Whether it exits when it is told to.
    let obeys = Mutex(true)
    let log = Mutex<[String]>([])
    private let spawner: FakeSpawner

    init(run: UInt64, spawner: FakeSpawner, report: @escaping @Sendable (ServerEvent) -> Void) {
        self.run = run
        self.spawner = spawner
        self.report = report
    }

    var pid: Int32 { Int32(1000 + run) }
    var endpoint: Endpoint { Endpoint(address: .unix(path: "/run/i/0.\(run).sock"), host: "localhost") }
    var gpus: [String] { ["0"] }
    var logPath: String { "/logs/\(run).log" }
    var treeDescription: String { "fake" }
    var logRead: Int64 { 0 }

    var evidencePath: String? { nil }

    func weightsAreRead() {}

    func startIsOver() {}

    func terminate() {
        terminations.withLock { $0 += 1 }
        if obeys.withLock({ $0 }) { report(.exited(.code(0))) }
    }

    func end(evidence: String?) async { spawner.state.withLock { _ = $0.living.removeValue(forKey: run) } }

    func lastLines() -> [String] { log.withLock { $0 } }

    func kernelCause() -> String? { nil }
}

/// Answers as a healthy vLLM does, until it is told otherwise.
final class FakeProber: HTTPProber {
    let answers = Mutex<@Sendable (HTTPProbe) -> HTTPProbeResult.Outcome?>({ _ in nil })
    let asked = Mutex<[HTTPProbe]>([])

    func send(_ probe: HTTPProbe) async -> HTTPProbeResult {
        asked.withLock { $0.append(probe) }
        await Task.yield()
        let outcome = answers.withLock { $0 }(probe) ?? Self.healthy(probe)
        return HTTPProbeResult(outcome: outcome, began: .now(), elapsed: .milliseconds(1))
    }

    static func healthy(_ probe: HTTPProbe) -> HTTPProbeResult.Outcome {
        switch probe.path {
        case "/v1/models":
            let card = #"{"id":"org/m","object":"model","owned_by":"vllm","root":"org/m","max_model_len":1024}"#
            return .answer(status: 200, body: Array(#"{"object":"list","data":[\#(card)]}"#.utf8))
        case "/metrics":
            return .answer(status: 200, body: Array("vllm:num_requests_running 0\n".utf8))
        case "/health": return .answer(status: 200, body: [])
        default:
            let text = #"{"choices":[{"index":0,"text":"a","finish_reason":"length"}],"usage":{"completion_tokens":1}}"#
            return .answer(status: 200, body: Array(text.utf8))
        }
    }
}

/// Names by a table.
final class FakeResolver: Resolver {
    let table = Mutex<[String: Resolution]>([:])

    func resolve(host: String, port: UInt16) async -> Resolution {
        table.withLock { $0[host] } ?? .failure("the name \(host) cannot be resolved")
    }
}

/// An owner with everything around it faked.
struct OwnerBench {
    let spawner: FakeSpawner
    let prober = FakeProber()
    let resolver = FakeResolver()
    let sink = RecordingSink()
    let owner: InstanceOwner

    init(
        lastRun: UInt64 = 0, clock: any WakeClock = SystemClock(),
        _ change: (inout LaunchConfiguration) -> Void = { _ in }
    ) {
        var launch = LaunchConfiguration(model: "org/m")
        launch.restart.backoffMin = .milliseconds(10)
        launch.restart.backoffMax = .milliseconds(50)
        change(&launch)
        self.init(
            name: "chat-0", lastRun: lastRun, clock: clock,
            ProviderConfiguration(name: "chat", source: .launched(launch)))
    }

    init(attached url: BaseURL) {
        self.init(
            name: "vllm-test", lastRun: 0,
            ProviderConfiguration(
                name: "vllm-test", source: .attached(AttachConfiguration(baseURL: url, apiKey: Secret("k")))))
    }

    private init(
        name: String, lastRun: UInt64, clock: any WakeClock = SystemClock(), _ provider: ProviderConfiguration
    ) {
        spawner = FakeSpawner(lastRun: lastRun)
        var health = HealthConfiguration()
        health.interval = .milliseconds(20)
        health.timeout = .milliseconds(500)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        owner = InstanceOwner(
            plan: InstancePlan(name: name, number: 0, provider: provider),
            services: InstanceServices(
                clock: clock, spawner: spawner, prober: prober, resolver: resolver, health: health, logger: logger,
                seed: 3),
            sink: sink)
        sink.confirmWith(owner)
    }

    func becomes(_ state: InstanceState, run: UInt64? = nil) async -> Bool {
        await eventually {
            let status = await owner.status
            return status.state == state && (run == nil || status.run == run)
        }
    }
}
