import Fleet
import Glibc
import Health
import Logging

@testable import Supervisor

/// The stand-in for vLLM under a real owner: real processes, real probes, faults on demand.
struct StandInBench {
    /// The built stand-in: named by STOKER_TEST_STANDIN, or beside the test bundle; nil where it is not what it should
    /// be, or was not built.
    static let standIn: String? = {
        let beside = SpawnerBench.executable.map { $0.dropLast("stoker".count) + "vllm-stand-in" }
        guard let path = getenv("STOKER_TEST_STANDIN").map({ String(cString: $0) }) ?? beside.map({ String($0) }),
            access(path, X_OK) == 0
        else { return nil }
        let folder = TestFolder()
        let vllm = fakeVenv(folder, path)
        return EngineVersions().version(of: [vllm], environment: [:]) != nil ? path : nil
    }()

    /// A folder that looks like a virtual environment with vLLM in it.
    static func fakeVenv(_ folder: TestFolder, _ standIn: String) -> String {
        let python = "\(folder.path)/python3"
        symlink(standIn, python)
        return folder.script("vllm", "#!\(python)\nimport vllm\n")
    }

    let bench: SpawnerBench
    let owner: InstanceOwner
    let sink = RecordingSink()
    let prober = CurlProber()

    /// - Parameter control: The stand-in's control file; nil for no faults.
    init?(
        _ kind: SpawnerBench.Kind, control: String? = nil, hangAfter: Duration = .seconds(60),
        _ change: (inout LaunchConfiguration) -> Void = { _ in }
    ) {
        guard let standIn = Self.standIn, let bench = SpawnerBench(kind) else { return nil }
        self.bench = bench
        var launch = LaunchConfiguration(model: "org/m")
        launch.command = [Self.fakeVenv(bench.folder, standIn), "serve"]
        launch.env = [
            "STANDIN_SHM": Secret("1"), "STANDIN_WORKERS": Secret("1"), "STANDIN_LOAD_SECONDS": Secret("0.2"),
        ]
        launch.restart.backoffMin = .milliseconds(20)
        launch.restart.backoffMax = .milliseconds(100)
        launch.timeouts.drain = .seconds(2)
        launch.timeouts.stop = .seconds(5)
        if let control {
            launch.env["STANDIN_CONTROL"] = Secret(bench.folder.script("control.json", control))
        }
        change(&launch)
        var health = HealthConfiguration()
        health.interval = .milliseconds(100)
        health.timeout = .seconds(1)
        health.hangAfter = hangAfter
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let provider = ProviderConfiguration(name: "chat", source: .launched(launch))
        owner = InstanceOwner(
            plan: InstancePlan(name: "chat-0", number: 0, provider: provider),
            services: InstanceServices(spawner: bench.spawner, prober: prober, health: health, logger: logger, seed: 5),
            sink: sink)
        sink.confirmWith(owner)
    }

    func becomes(_ state: InstanceState, run: UInt64? = nil, within limit: Duration = .seconds(30)) async -> Bool {
        await eventually(within: limit) {
            let status = await owner.status
            return status.state == state && (run == nil || status.run == run)
        }
    }

    /// Every living process of the session that a head leads.
    func tree(_ head: Int32) -> [ProcessTable.Entry] {
        ProcessTable.all().filter { $0.session == head && !$0.isZombie }
    }

    /// The shared memory that a tree has mapped.
    func segments(_ head: Int32) -> Set<String> {
        tree(head).reduce(into: []) { $0.formUnion(ProcessTable.sharedMemory($1.pid)) }
    }

    /// Ends everything, and says what is left: nothing.
    func end() async -> [String] {
        await owner.shutdown()
        prober.shutdown()
        var left = SystemFile.names(in: "\(bench.folder.path)/run/i").map { "socket \($0)" }
        // Whatever runs from this bench's folder is ours.
        for entry in ProcessTable.all() where !entry.isZombie {
            let environment = SystemFile.text("/proc/\(entry.pid)/environ", limit: 1 << 16) ?? ""
            if environment.contains(bench.folder.path) { left.append("process \(entry.pid)") }
        }
        return left
    }
}
