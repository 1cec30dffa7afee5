import Fleet
import Glibc
import Health
import Logging
import Testing

@testable import Supervisor

@Suite(
    "Real processes", .serialized,
    .enabled(if: SpawnerBench.executable != nil, "SKIPPED: build the stoker executable first"))
struct EngineSpawnerTests {
    private func bench(_ kind: SpawnerBench.Kind) -> SpawnerBench? {
        let bench = SpawnerBench(kind)
        if bench == nil { print("SKIPPED: no writable cgroup2 on this machine, only sessions are tried") }
        return bench
    }

    @Test(
        "an engine gets a session, limits, signals, descriptors and environment of its own",
        arguments: SpawnerBench.Kind.allCases)
    func hygiene(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind) else { return }
        signal(SIGPIPE, SIG_IGN)
        // A descriptor that somebody forgot to mark.
        let stray = dup2(0, 77)
        defer { close(stray) }
        let script = bench.folder.script(
            "engine",
            """
            #!/bin/sh
            echo "session $(cut -d' ' -f6 /proc/$$/stat) pid $$"
            ls /proc/$$/fd > "$0.fds"; echo "fds $(tr '\\n' ' ' < "$0.fds")"
            echo "stdin $(readlink /proc/$$/fd/0)"
            echo "files $(ulimit -Sn)"
            echo "oom $(cat /proc/$$/oom_score_adj)"
            grep -E '^Sig(Blk|Ign):' /proc/self/status
            echo "cgroup $(grep ^0:: /proc/$$/cgroup)"
            echo "args $@"
            echo "key ${VLLM_API_KEY:-none} keep ${VLLM_HTTP_TIMEOUT_KEEP_ALIVE} mine ${MINE}"
            exec sleep 1000
            """)
        let reports = Reports()
        let server = try await bench.launch(bench.order([script], env: ["MINE": Secret("yes")]), reports).get()
        #expect(await eventually { reports.lines.contains { $0.hasPrefix("key") } })
        let lines = reports.lines
        #expect(lines.contains("session \(server.pid) pid \(server.pid)"))
        let descriptors = lines.first { $0.hasPrefix("fds ") }?.split(separator: " ").compactMap { Int($0) } ?? []
        // 10 to 12 are the shell's own, while it redirects.
        #expect(Set(descriptors).isSubset(of: [0, 1, 2, 10, 11, 12]) && descriptors.count >= 3)
        #expect(lines.contains("stdin /dev/null"))
        #expect(lines.contains("files 512"))
        #expect(lines.contains("oom 100"))
        #expect(lines.contains("SigBlk:\t0000000000000000"))
        #expect(lines.contains("SigIgn:\t0000000000000000"))
        if kind == .cgroup { #expect(lines.contains { $0.hasPrefix("cgroup ") && $0.hasSuffix("/i-chat-0") }) }
        // A script that is no Python has no known version: TCP, and no flag that it may not know.
        guard case .tcp(_, let port) = server.endpoint.address else {
            Issue.record("expected TCP")
            return
        }
        #expect(lines.contains("args org/m --host 127.0.0.1 --port \(port)"))
        #expect(lines.contains("key none keep 75 mine yes"))
        await server.end(evidence: nil)
        #expect(!lives(server.pid))
    }

    @Test(
        "the whole tree dies: children, orphans and those in sessions of their own",
        arguments: SpawnerBench.Kind.allCases)
    func wholeTree(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind) else { return }
        let script = bench.folder.script(
            "engine",
            """
            #!/bin/sh
            trap '' TERM
            sleep 1001 & echo "member $!"
            (trap '' TERM; sleep 1002 & echo "member $!")
            setsid sh -c 'echo "member $$"; trap "" TERM; sleep 1003' &
            echo up
            wait
            sleep 1004
            """)
        let reports = Reports()
        let server = try await bench.launch(bench.order([script]), reports).get()
        #expect(
            await eventually {
                reports.lines.filter { $0.hasPrefix("member ") }.count == 3 && reports.lines.contains("up")
            })
        let members = reports.lines.compactMap { line in line.hasPrefix("member ") ? Int32(line.dropFirst(7)) : nil }
        // A session's members are found by looking: give it one look.
        _ = await reports.first { if case .usage(let usage) = $0 { usage.processes >= 5 } else { false } }
        for member in members { #expect(lives(member)) }
        server.terminate()
        await server.end(evidence: "for the test")
        for member in members + [server.pid] { #expect(!lives(member), "\(member) lives") }
        #expect(reports.all.contains { if case .exited = $0 { true } else { false } })
        let evidence = SystemFile.text("\(bench.folder.path)/state/logs/chat-0/1.evidence") ?? ""
        #expect(evidence.contains("for the test"))
        if kind == .cgroup { #expect(bench.trees.existing(for: "chat-0") == nil) }
    }

    @Test("the head's death is told at once, with how it ended", arguments: SpawnerBench.Kind.allCases)
    func headDeath(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind) else { return }
        let script = bench.folder.script("engine", "#!/bin/sh\nsleep 1001 &\necho \"member $!\"\nexec sleep 1000\n")
        let reports = Reports()
        let server = try await bench.launch(bench.order([script]), reports).get()
        #expect(await eventually { !reports.lines.isEmpty })
        let member = try #require(reports.lines.first.flatMap { Int32($0.dropFirst(7)) })
        let killed = Instant.now()
        kill(server.pid, SIGKILL)
        let seen = try #require(await reports.first { $0 == .exited(.signal(9)) })
        #expect(seen - killed < exitMark)
        #expect(lives(member))
        await server.end(evidence: nil)
        #expect(!lives(member))
    }

    @Test(
        "an engine process's death is told by its title, a helper's as no more than a hint",
        arguments: SpawnerBench.Kind.allCases)
    func engineDeath(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind), access("/bin/bash", X_OK) == 0 else { return }
        let script = bench.folder.script(
            "engine",
            """
            #!/bin/bash
            (exec -a VLLM::EngineCore sleep 1001) & echo "core $!"
            sleep 1002 & echo "helper $!"
            wait; sleep 1003
            """)
        let reports = Reports()
        let server = try await bench.launch(bench.order([script]), reports).get()
        _ = await reports.first { if case .usage(let usage) = $0 { usage.processes >= 3 } else { false } }
        let core = try #require(reports.lines.first { $0.hasPrefix("core") }.flatMap { Int32($0.dropFirst(5)) })
        let helper = try #require(reports.lines.first { $0.hasPrefix("helper") }.flatMap { Int32($0.dropFirst(7)) })
        kill(helper, SIGKILL)
        #expect(await reports.first { if case .helperDied = $0 { true } else { false } } != nil)
        #expect(!reports.all.contains { if case .engineDied = $0 { true } else { false } })
        let killed = Instant.now()
        kill(core, SIGKILL)
        let seen = try #require(await reports.first { $0 == .engineDied("VLLM::EngineCore (pid \(core))") })
        #expect(seen - killed < exitMark)
        await server.end(evidence: nil)
    }

    @Test("what cannot be executed is said so, for good")
    func noCommand() async {
        guard let bench = bench(.session) else { return }
        guard case .failure(.permanent(let fault, _)) = await bench.launch(bench.order(["/no/such/vllm"]), Reports())
        else {
            Issue.record("a missing command was launched")
            return
        }
        #expect(fault.detail.contains("/no/such/vllm"))
        // It is there, its interpreter is not: only exec can tell.
        let script = bench.folder.script("engine", "#!/no/such/interpreter\n")
        guard case .failure(.permanent(let other, _)) = await bench.launch(bench.order([script]), Reports()) else {
            Issue.record("a script without its interpreter was launched")
            return
        }
        #expect(other.detail.contains("exec"))
    }

    @Test(
        "what an earlier life left is ended before the next start, and runs are never used twice",
        arguments: SpawnerBench.Kind.allCases)
    func leftovers(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind) else { return }
        let script = bench.folder.script("engine", "#!/bin/sh\nsleep 1001 &\necho \"member $!\"\nexec sleep 1000\n")
        let reports = Reports()
        let first = try await bench.launch(bench.order([script], run: 7), reports).get()
        #expect(await eventually { !reports.lines.isEmpty })
        let member = try #require(reports.lines.first.flatMap { Int32($0.dropFirst(7)) })
        _ = await reports.first { if case .usage(let usage) = $0 { usage.processes >= 2 } else { false } }
        // The head dies unseen by the next life, which only finds the member.
        kill(first.pid, SIGKILL)
        let next = bench.another()
        #expect(next.lastRun(of: "chat-0") == 7)
        let second = try await next.launch(bench.order([script], run: 8)) { _ in }.get()
        #expect(!lives(member))
        #expect(lives(second.pid))
        #expect(next.lastRun(of: "chat-0") == 8)
        await second.end(evidence: nil)
        #expect(next.lastRun(of: "chat-0") == 8)
    }

    @Test("what is left without its record is known by its output, and ended", arguments: [true, false])
    func lostRecord(isWanted: Bool) async throws {
        guard let bench = bench(.session) else { return }
        let script = bench.folder.script("engine", "#!/bin/sh\nsleep 1001 &\necho \"member $!\"\nexec sleep 1000\n")
        let reports = Reports()
        let first = try await bench.launch(bench.order([script], run: 7), reports).get()
        #expect(await eventually { !reports.lines.isEmpty })
        let member = try #require(reports.lines.first.flatMap { Int32($0.dropFirst(7)) })
        unlink("\(bench.folder.path)/state/instances/chat-0.json")
        let next = bench.another()
        if isWanted {
            let second = try await next.launch(bench.order([script], run: 8)) { _ in }.get()
            #expect(lives(second.pid))
            await second.end(evidence: nil)
        } else {
            #expect(await next.sweep(keeping: []) == [])
        }
        #expect(!lives(first.pid) && !lives(member))
    }

    @Test(
        "a running engine can be taken over: same pid, its end is seen, its code is not known",
        arguments: SpawnerBench.Kind.allCases)
    func adoption(kind: SpawnerBench.Kind) async throws {
        guard let bench = bench(kind) else { return }
        let script = bench.folder.script("engine", "#!/bin/sh\necho hello\nexec sleep 1000\n")
        let order = bench.order([script], run: 3)
        let first = try await bench.launch(order, Reports()).get()
        let reports = Reports()
        let adopted = try #require(await bench.another().adopt(order.plan, logRead: nil) { reports.add($0) })
        #expect(adopted.run == 3)
        #expect(adopted.server.pid == first.pid)
        #expect(adopted.server.endpoint == first.endpoint)
        #expect(await eventually { adopted.server.lastLines() == ["hello"] })
        var changed = order.plan
        if case .launched(var launch) = changed.provider.source {
            launch.args = ["--changed"]
            changed.provider.source = .launched(launch)
        }
        #expect(await bench.another().adopt(changed, logRead: nil) { _ in } == nil)
        kill(first.pid, SIGKILL)
        #expect(await reports.first { if case .exited = $0 { true } else { false } } != nil)
        await adopted.server.end(evidence: nil)
    }

    @Test("a state directory that cannot be written costs the records, not the engine")
    func unwritableState() async throws {
        guard let executable = SpawnerBench.executable, let bench = bench(.session) else { return }
        var setup = EngineSpawner.Setup(
            directories: Directories(state: "/proc/none", runtime: "\(bench.folder.path)/run"), executable: executable,
            environment: ["PATH": "/usr/bin:/bin"], trees: bench.trees, logger: Logger(label: "test"))
        setup.logger.logLevel = .critical
        let script = bench.folder.script("engine", "#!/bin/sh\necho hello\nexec sleep 1000\n")
        let server = try await EngineSpawner(setup).launch(bench.order([script])) { _ in }.get()
        #expect(await eventually { server.lastLines() == ["hello"] })
        #expect(server.logPath.hasPrefix("\(bench.folder.path)/run/logs/"))
        await server.end(evidence: "what cannot be saved either")
        #expect(!lives(server.pid))
    }

    @Test("shared memory that only the dead had mapped is removed, and no other")
    func sharedMemory() async throws {
        guard let bench = bench(.session) else { return }
        guard let python = EngineInterpreter.resolve("python3", path: "/usr/local/bin:/usr/bin:/bin") else {
            print("SKIPPED: no python3 to map shared memory with")
            return
        }
        let name = "stoker-test-\(getpid())-\(UInt32.random(in: .min ... .max))"
        let script = bench.folder.script(
            "engine",
            """
            #!/bin/sh
            exec \(python) -c "
            import mmap, time
            f = open('/dev/shm/\(name)', 'w+b'); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096)
            open('/dev/shm/\(name)-other', 'w+b').truncate(4096)
            print('mapped', flush=True); time.sleep(1000)"
            """)
        let reports = Reports()
        let server = try await bench.launch(bench.order([script]), reports).get()
        #expect(await eventually { reports.lines.contains("mapped") })
        await server.end(evidence: nil)
        #expect(!SystemFile.exists("/dev/shm/\(name)"))
        #expect(SystemFile.exists("/dev/shm/\(name)-other"))
        unlink("/dev/shm/\(name)-other")
    }
}
