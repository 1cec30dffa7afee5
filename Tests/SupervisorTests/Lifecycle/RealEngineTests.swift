import CLinux
import Dispatch
import Fleet
import Glibc
import Health
import Logging
import Synchronization
import Testing

@testable import Supervisor

/// What the environment names.
enum RealEngine {
    static let vllm = getenv("STOKER_TEST_VLLM").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    static let model = getenv("STOKER_TEST_MODEL").map { String(cString: $0) } ?? "none"
}

/// With a real `vllm serve`: `STOKER_TEST_VLLM=/path/to/vllm STOKER_TEST_MODEL=/path/to/model swift test --filter RealEngine`.
/// Slow, so only where both are named.
@Suite(
    "A real vLLM under its owner", .serialized,
    .enabled(if: RealEngine.vllm != nil && SpawnerBench.executable != nil, "SKIPPED: STOKER_TEST_VLLM is not set"))
struct RealEngineTests {
    private func plan() -> InstancePlan {
        var launch = LaunchConfiguration(model: RealEngine.model)
        launch.command = [RealEngine.vllm ?? "vllm", "serve"]
        launch.args = [
            "--served-model-name", "tiny/llama", "--dtype", "float32", "--enforce-eager", "--max-model-len", "1024",
        ]
        for (name, value) in [
            "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1", "VLLM_CPU_CI_ENV": "1", "VLLM_NO_USAGE_STATS": "1",
        ] {
            launch.env[name] = Secret(value)
        }
        return InstancePlan(
            name: "chat-0", number: 0, provider: ProviderConfiguration(name: "chat", source: .launched(launch)))
    }

    @Test(
        "ready, kill -9 of the head, ready again, stop: never a process of the old tree beside the new",
        arguments: SpawnerBench.Kind.allCases)
    func life(kind: SpawnerBench.Kind) async throws {
        guard let bench = SpawnerBench(kind, environment: ["PATH": "/usr/bin:/bin", "HOME": "/root"]) else { return }
        let sink = RecordingSink()
        let services = InstanceServices(
            spawner: bench.spawner, prober: CurlProber(), health: HealthConfiguration(), logger: Logger(label: "test"),
            seed: 1)
        let owner = InstanceOwner(plan: plan(), services: services, sink: sink)
        sink.confirmWith(owner)
        await owner.begin(wanted: true)
        #expect(await eventually(within: .seconds(240)) { await owner.status.state == .ready })
        let status = await owner.status
        print(status)
        #expect(status.models == ["tiny/llama"])
        #expect(status.endpoint?.hasSuffix("/i/0.1.sock") == true)
        // Its tree: API server, engine, workers.
        let before = ProcessTable.all().filter { $0.session == status.pid && !$0.isZombie }
        #expect(before.contains { ProcessTable.engineRole($0.pid) != nil })
        let killed = Instant.now()
        async let died = death(of: try #require(status.pid))
        kill(try #require(status.pid), SIGKILL)
        #expect(
            await eventually {
                sink.all.last { $0.0.status.run == 1 }?.0.entries.first?.published == false
                    || sink.all.last?.0.entries.isEmpty == true
            })
        let unpublished = try #require(sink.all.first { $0.1 > killed && $0.0.entries.first?.published != true })
        // A large process takes a while to die: counted from its death, not from the signal.
        let late = unpublished.1 - (try await died)
        print("unpublished \(late) after its death, \(unpublished.1 - killed) after the signal")
        #expect(late < .milliseconds(100))
        #expect(await eventually { await owner.status.run == 2 })
        for entry in before { #expect(!lives(entry.pid), "\(entry.pid) of the old tree lives beside the new one") }
        #expect(await eventually(within: .seconds(240)) { await owner.status.state == .ready })

        // The engine's death is seen though the server would go on for some seconds.
        let second = try #require(await owner.status.pid)
        let core = try #require(
            ProcessTable.all().first { $0.session == second && ProcessTable.engineRole($0.pid) == "VLLM::EngineCore" })
        let shot = Instant.now()
        async let coreDied = death(of: core.pid)
        kill(core.pid, SIGKILL)
        #expect(await eventually { sink.all.contains { $0.1 > shot && $0.0.entries.first?.published != true } })
        let seen = try #require(sink.all.first { $0.1 > shot && $0.0.entries.first?.published != true })
        let seenLate = seen.1 - (try await coreDied)
        print("engine's death seen after \(seenLate), \(seen.1 - shot) after the signal: \(seen.0.status.reason)")
        #expect(seenLate < .milliseconds(100))
        #expect(await eventually { await owner.status.run == 3 })
        #expect(!lives(second))
        print(await owner.status.lastFailure as Any)
        #expect(await eventually(within: .seconds(240)) { await owner.status.state == .ready })

        let last = try #require(await owner.status.pid)
        let tree = ProcessTable.all().filter { $0.session == last }.map(\.pid)
        let asked = Instant.now()
        await owner.shutdown()
        print("shut down in \(Instant.now() - asked)")
        for pid in tree { #expect(!lives(pid)) }
        #expect(SystemFile.names(in: "\(bench.folder.path)/run/i").isEmpty)
        #expect(await owner.status.state == .stopped)
    }
}

/// When a process has died, by a pidfd of the test's own.
private func death(of pid: Int32) async throws -> Instant {
    let pidfd = stoker_pidfd_open(pid)
    return await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            var poller = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            while poll(&poller, 1, 60_000) < 0 {}
            close(pidfd)
            continuation.resume(returning: .now())
        }
    }
}

/// Keeps records, and plays the gateway: confirms what is published and drains what is not.
final class RecordingSink: InstanceSink {
    private struct State {
        var records: [(InstanceRecord, Instant)] = []
        var owner: InstanceOwner?
        var confirmed: Set<InstanceRun> = []
    }

    private let state = Mutex(State())

    var all: [(InstanceRecord, Instant)] { state.withLock { $0.records } }
    var states: [InstanceState] {
        all.reduce(into: []) { states, record in
            if states.last != record.0.status.state { states.append(record.0.status.state) }
        }
    }

    func confirmWith(_ owner: InstanceOwner) { state.withLock { $0.owner = owner } }

    func record(_ record: InstanceRecord) async {
        let owner = state.withLock { state -> InstanceOwner? in
            state.records.append((record, .now()))
            return state.owner
        }
        guard let owner else { return }
        for entry in record.entries {
            let event: RegistryEvent? = state.withLock { state in
                if entry.published {
                    return state.confirmed.insert(entry.run).inserted ? .confirmed(entry.run) : nil
                }
                return state.confirmed.remove(entry.run) != nil ? .drained(entry.run) : nil
            }
            if let event { Task { await owner.registry(event) } }
        }
    }

    func forget(instance: String) async {}
}
