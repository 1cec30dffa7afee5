import Fleet
import Glibc
import Health
import Testing

@testable import Supervisor

@Suite(
    "The stand-in for vLLM under a real owner", .serialized,
    .enabled(if: StandInBench.standIn != nil, "SKIPPED: build vllm-stand-in, or name it in STOKER_TEST_STANDIN"))
struct StandInTests {
    @Test("ready, and gone without a trace", arguments: SpawnerBench.Kind.allCases)
    func life(kind: SpawnerBench.Kind) async throws {
        guard let stand = StandInBench(kind) else { return }
        await stand.owner.begin(wanted: true)
        #expect(await stand.becomes(.ready))
        let status = await stand.owner.status
        #expect(status.models == ["org/m"])
        #expect(status.endpoint == "unix:\(stand.bench.folder.path)/run/i/0.1.sock")
        #expect(await eventually { stand.sink.states == [.starting, .loading, .warming, .ready] })
        let segments = stand.segments(try #require(status.pid))
        #expect(!segments.isEmpty)
        #expect(await stand.end() == [])
        for segment in segments { #expect(!SystemFile.exists(segment)) }
    }

    @Test(
        "kill -9 of the head, of the engine, of a worker: nothing of the old tree lives beside the new",
        arguments: SpawnerBench.Kind.allCases)
    func deaths(kind: SpawnerBench.Kind) async throws {
        guard let stand = StandInBench(kind) else { return }
        await stand.owner.begin(wanted: true)
        var segments: Set<String> = []
        for (run, role) in [(UInt64(1), ""), (2, "VLLM::EngineCore"), (3, "VLLM::Worker")] {
            #expect(await stand.becomes(.ready, run: run))
            let head = try #require(await stand.owner.status.pid)
            // Members are known after a look.
            #expect(await eventually { await stand.owner.usage?.processes ?? 0 >= 3 })
            let tree = stand.tree(head)
            segments.formUnion(stand.segments(head))
            let victim =
                role.isEmpty
                ? head
                : try #require(
                    tree.first { ProcessTable.engineRole($0.pid)?.hasPrefix(role) == true }?.pid)
            let killed = Instant.now()
            kill(victim, SIGKILL)
            #expect(
                await eventually { stand.sink.all.contains { $0.1 > killed && $0.0.entries.first?.published != true } })
            let seen = try #require(stand.sink.all.first { $0.1 > killed && $0.0.entries.first?.published != true })
            #expect(seen.1 - killed < exitMark, "\(role): \(seen.1 - killed)")
            #expect(await eventually { await stand.owner.status.run == run + 1 })
            for entry in tree { #expect(!lives(entry.pid), "\(entry.pid) of run \(run)") }
        }
        #expect(await stand.becomes(.ready, run: 4))
        #expect(await stand.owner.status.restarts == 3)
        #expect(await stand.end() == [])
        #expect(segments.count == 3)
        for segment in segments { #expect(!SystemFile.exists(segment)) }
    }

    @Test("an engine that is stopped is found idle, and replaced, with evidence")
    func hang() async throws {
        guard let stand = StandInBench(.session, hangAfter: .seconds(1)) else { return }
        await stand.owner.begin(wanted: true)
        #expect(await stand.becomes(.ready))
        let head = try #require(await stand.owner.status.pid)
        let core = try #require(stand.tree(head).first { ProcessTable.engineRole($0.pid) == "VLLM::EngineCore" })
        kill(core.pid, SIGSTOP)
        #expect(await stand.becomes(.ready, run: 2, within: .seconds(60)))
        #expect(!lives(core.pid))
        #expect(await stand.owner.status.lastFailure?.kind != nil)
        #expect(SystemFile.exists("\(stand.bench.folder.path)/state/logs/chat-0/1.evidence"))
        #expect(await stand.end() == [])
    }

    @Test("wrong arguments fail at once; a start without progress is ended", arguments: [true, false])
    func badStarts(isSilent: Bool) async throws {
        let control =
            isSilent
            ? #"{"never_ready": true, "load_silent": true}"#
            : #"{"exit_at_start": {"code": 2, "lines": ["usage: vllm serve", "vllm: error: unrecognized arguments: --x"]}}"#
        let bench = StandInBench(.session, control: control) { launch in
            launch.restart.startBudget = 2
            launch.timeouts.startStall = .seconds(1)
        }
        guard let stand = bench else { return }
        await stand.owner.begin(wanted: true)
        #expect(await stand.becomes(.failed, within: .seconds(60)))
        let status = await stand.owner.status
        #expect(status.lastFailure?.kind == (isSilent ? "start_stalled" : "arguments"))
        #expect(status.run == (isSilent ? 2 : 1))
        #expect(await stand.end() == [])
    }

    @Test("an older version gets a port and no flag that it does not know")
    func older() async throws {
        let bench = StandInBench(.session) { $0.env["STANDIN_VERSION"] = Secret("0.10.2") }
        guard let stand = bench else { return }
        await stand.owner.begin(wanted: true)
        #expect(await stand.becomes(.ready))
        #expect(await stand.owner.status.endpoint?.hasPrefix("http://127.0.0.1:") == true)
        #expect(await stand.end() == [])
    }

    @Test(
        "a shutdown at any stage of a start leaves nothing, even of one that ignores SIGTERM",
        arguments: [0, 20, 60, 150, 300, 600])
    func shutdown(milliseconds: Int) async throws {
        let control = #"{"ignore_sigterm": true, "grandchild": "session"}"#
        let bench = StandInBench(milliseconds % 100 == 0 ? .cgroup : .session, control: control) {
            $0.timeouts.stop = .milliseconds(300)
        }
        guard let stand = bench else { return }
        await stand.owner.begin(wanted: true)
        try await Task.sleep(for: .milliseconds(milliseconds))
        #expect(await stand.end() == [])
        #expect(await stand.owner.status.state == .stopped)
    }
}
