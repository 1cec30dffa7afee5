import Fleet
import Health
import Testing

@testable import Supervisor

@Suite("The owner of an instance")
struct InstanceOwnerTests {
    @Test("from nothing to ready, every state told in order")
    func ready() async {
        let bench = OwnerBench(lastRun: 41)
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        let status = await bench.owner.status
        #expect(status.run == 42)
        #expect(status.published)
        #expect(status.pid == 1042)
        #expect(status.models == ["org/m"])
        #expect(status.gpus == ["0"])
        #expect(status.checks.contains { $0.signal == .process && $0.ok })
        #expect(await eventually { bench.sink.states == [.starting, .loading, .warming, .ready] })
        let entry = bench.sink.all.last?.0.entries.first
        #expect(entry?.run == InstanceRun(instance: "chat-0", run: 42))
        #expect(entry?.published == true)
        await bench.owner.shutdown()
        #expect(bench.sink.all.last?.0.status.state == .stopped)
        #expect(bench.sink.all.last?.0.entries == [])
    }

    @Test("what an earlier life left, and gateways route to, is never unpublished")
    func adoption() async throws {
        let bench = OwnerBench(lastRun: 41)
        bench.spawner.state.withLock { $0.left = true }
        // Nobody answers yet: that is no reason to drop it.
        bench.prober.answers.withLock { $0 = { _ in .failure(.timedOut) } }
        let entry = InstanceEntry(
            run: InstanceRun(instance: "chat-0", run: 41),
            endpoint: Endpoint(address: .unix(path: "/run/i/0.41.sock"), host: "localhost"), state: .ready,
            published: true, models: [ModelCard(id: "org/m")])
        await bench.owner.begin(wanted: true, inherited: entry)
        #expect(await bench.becomes(.ready, run: 41))
        #expect(bench.spawner.launches == 0)
        #expect(bench.sink.all.allSatisfy { $0.0.entries.allSatisfy { $0.published } })
        #expect(bench.sink.states == [.starting, .ready])
        bench.prober.answers.withLock { $0 = { _ in nil } }
        try #require(bench.spawner.living).report(.exited(.unknown))
        #expect(await bench.becomes(.ready, run: 42))
        #expect(await bench.owner.status.lastFailure?.detail.contains("unknown (adopted)") == true)
        await bench.owner.shutdown()
    }

    @Test("what was left but is not routed to, or is reached elsewhere, is asked first", arguments: [true, false])
    func adoptionUnpublished(isElsewhere: Bool) async {
        let bench = OwnerBench(lastRun: 41)
        bench.spawner.state.withLock { $0.left = true }
        let entry = InstanceEntry(
            run: InstanceRun(instance: "chat-0", run: 41),
            endpoint: Endpoint(
                address: .unix(path: isElsewhere ? "/elsewhere" : "/run/i/0.41.sock"), host: "localhost"),
            state: .ready, published: isElsewhere, models: [ModelCard(id: "org/m")])
        await bench.owner.begin(wanted: true, inherited: entry)
        #expect(await bench.becomes(.ready, run: 41))
        #expect(bench.spawner.launches == 0)
        #expect(await eventually { bench.sink.states == [.starting, .loading, .warming, .ready] })
        await bench.owner.shutdown()
    }

    @Test("an exit unpublishes at once, and the next run comes when the tree is gone")
    func exit() async throws {
        let bench = OwnerBench()
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        let server = try #require(bench.spawner.living)
        server.log.withLock { $0 = ["ValueError: boom"] }
        let died = Instant.now()
        server.report(.exited(.code(0)))
        #expect(await eventually { bench.sink.all.contains { $0.1 >= died && $0.0.entries.first?.published != true } })
        #expect(await bench.becomes(.ready, run: 2))
        #expect(!bench.spawner.overlapped)
        let status = await bench.owner.status
        #expect(status.restarts == 1)
        #expect(status.lastFailure?.detail.contains("exit code 0") == true)
        #expect(status.lastFailure?.logTail == ["ValueError: boom"])
        await bench.owner.shutdown()
    }

    @Test("an engine process's death ends the run")
    func engineDeath() async throws {
        let bench = OwnerBench()
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        try #require(bench.spawner.living).report(.engineDied("VLLM::EngineCore (pid 5)"))
        #expect(await bench.becomes(.ready, run: 2))
        #expect(await bench.owner.status.lastFailure?.detail.hasPrefix("VLLM::EngineCore (pid 5) died") == true)
        await bench.owner.shutdown()
    }

    @Test("commands return when they are done")
    func commands() async throws {
        let bench = OwnerBench()
        await bench.owner.begin(wanted: false)
        #expect(bench.spawner.launches == 0)
        try await bench.owner.act(.start)
        #expect(await bench.owner.status.state == .ready)
        try await bench.owner.act(.drain)
        #expect(await bench.owner.status.state == .draining)
        try await bench.owner.act(.undrain)
        #expect(await bench.owner.status.state == .ready)
        try await bench.owner.act(.restart)
        #expect(await bench.owner.status.run == 2)
        try await bench.owner.act(.stop)
        #expect(await bench.owner.status.state == .stopped)
        #expect(bench.spawner.living == nil)
        await #expect(throws: ControlFailure.self) { try await bench.owner.act(.drain) }
        await bench.owner.shutdown()
        await #expect(throws: ControlFailure.self) { try await bench.owner.act(.start) }
    }

    @Test("a start that fails for good says why")
    func permanent() async {
        let bench = OwnerBench()
        bench.spawner.state.withLock {
            $0.outcome = { _ in .permanent(Fault(kind: "launch", detail: "vllm is not found"), hint: "install it") }
        }
        await #expect(throws: ControlFailure.failed("chat-0 is failed: vllm is not found")) {
            try await bench.owner.act(.start)
        }
        #expect(await bench.owner.record.settled)
        #expect(await bench.owner.status.lastFailure?.hint == "install it")
        await bench.owner.shutdown()
    }

    @Test("wrong arguments fail at once, by the log's words")
    func arguments() async throws {
        let bench = OwnerBench()
        bench.prober.answers.withLock { $0 = { _ in .failure(.refused) } }
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.loading))
        let server = try #require(bench.spawner.living)
        server.log.withLock { $0 = ["usage: vllm serve", "vllm: error: unrecognized arguments: --bogus"] }
        server.report(.exited(.code(2)))
        #expect(await bench.becomes(.failed))
        await bench.owner.shutdown()
    }

    @Test("a stop while a launch waits cancels it")
    func cancelLaunch() async throws {
        let bench = OwnerBench()
        bench.spawner.state.withLock { $0.hangs = true }
        await bench.owner.begin(wanted: true)
        #expect(await eventually { await bench.owner.status.reason.contains("pid 7 holds it") })
        try await bench.owner.act(.stop)
        #expect(await bench.owner.status.state == .stopped)
        await bench.owner.shutdown()
    }

    @Test("a server that ignores SIGTERM is killed after its time")
    func stubborn() async throws {
        let bench = OwnerBench { $0.timeouts.stop = .milliseconds(50) }
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        let server = try #require(bench.spawner.living)
        server.obeys.withLock { $0 = false }
        await bench.owner.shutdown()
        #expect(server.terminations.withLock { $0 } == 1)
        #expect(bench.spawner.living == nil)
    }

    @Test("a shutdown waits for what is in flight, and hurries when told to")
    func hurry() async throws {
        let bench = OwnerBench()
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        // A gateway that never drains.
        bench.sink.confirmWith(OwnerBench().owner)
        async let end: Void = bench.owner.shutdown()
        #expect(await bench.becomes(.draining))
        #expect(bench.spawner.living != nil)
        await bench.owner.hurry()
        await end
        #expect(bench.spawner.living == nil)
    }

    @Test("unhealthy unpublishes and heals by itself")
    func health() async {
        let bench = OwnerBench()
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        bench.prober.answers.withLock {
            $0 = { $0.path == "/health" ? .answer(status: 503, body: []) : nil }
        }
        #expect(await eventually { await bench.owner.status.published == false })
        bench.prober.answers.withLock { $0 = { _ in nil } }
        #expect(await bench.becomes(.ready))
        await bench.owner.shutdown()
    }

    @Test("an attached server is found by its name, followed to another address, and never touched")
    func attached() async throws {
        let bench = OwnerBench(attached: BaseURL(isTLS: true, host: "box", port: 8000, path: "/prefix"))
        await bench.owner.begin(wanted: true)
        #expect(await eventually { await bench.owner.status.reason.contains("cannot be resolved") })
        #expect(await bench.owner.status.state == .connecting)
        bench.resolver.table.withLock { $0["box"] = .addresses([.tcp(ip: "10.0.0.1", port: 8000)]) }
        await bench.owner.resolve()
        #expect(await bench.becomes(.ready))
        let entry = try #require(await bench.owner.record.entries.first)
        #expect(
            entry.endpoint
                == Endpoint(
                    address: .tcp(ip: "10.0.0.1", port: 8000), host: "box:8000", basePath: "/prefix",
                    tls: Endpoint.TLS(serverName: "box")))
        #expect(entry.apiKey == Secret("k"))
        bench.resolver.table.withLock { $0["box"] = .addresses([.tcp(ip: "10.0.0.2", port: 8000)]) }
        await bench.owner.resolve()
        #expect(await bench.becomes(.ready, run: 2))
        #expect(await bench.owner.record.entries.last?.endpoint?.address == .tcp(ip: "10.0.0.2", port: 8000))
        await #expect(throws: ControlFailure.self) { try await bench.owner.act(.stop) }
        #expect(bench.spawner.launches == 0)
        await bench.owner.shutdown()
    }

    @Test(
        "times are RFC 3339",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"), (-1, "1969-12-31T23:59:59.999Z"),
        ])
    func timestamps(milliseconds: Int64, text: String) { #expect(Timestamp.text(milliseconds: milliseconds) == text) }
}
