import Fleet
import Glibc
import Testing

@testable import Supervisor

/// The built binary against a daemon that is a fake behind a real admin server: exit codes and what is printed.
@Suite("The command line", .serialized, .enabled(if: CommandLineRun.binary != nil))
struct AdminCommandLineTests {
    func run(_ arguments: [String]) async throws -> CommandLineRun {
        try await blocking { try CommandLineRun(arguments) }
    }

    /// Runs with the fixture's socket.
    func run(_ fixture: AdminFixture, _ arguments: String...) async throws -> CommandLineRun {
        try await run(arguments + ["--socket", fixture.socketPath])
    }

    @Test("Without a daemon")
    func noDaemon() async throws {
        for arguments in [
            ["status"], ["start", "x"], ["logs", "x"], ["reload"], ["probe"], ["detach", "x"],
            ["attach", "x", "http://y"],
        ] {
            let result = try await run(arguments + ["--socket", "/tmp/stoker-none.sock"])
            #expect(result.code == 3, "\(arguments)")
            #expect(result.errors.contains("no daemon answers on /tmp/stoker-none.sock"))
        }
    }

    @Test("Usage, help, version")
    func usage() async throws {
        #expect(try await run(["nonsense"]).code == 2)
        #expect(try await run(["status", "--wrong"]).code == 2)
        #expect(try await run(["--help"]).code == 0)
        #expect(try await run(["logs", "--help"]).output.contains("--previous"))
        let version = try await run(["version"])
        #expect(version.code == 0 && version.output == "stoker \(BuildInfo.version)\n")
        #expect(try await run(["gateway", "--nonsense", "1"]).code == 2)
    }

    @Test("Status: a table, JSON")
    func status() async throws {
        try await AdminFixture.run { fixture in
            let table = try await run(fixture, "status")
            #expect(table.code == 0 && table.output.contains("chat-1     launched  loading 43 %"))
            #expect(!table.output.contains("\u{1b}"))
            let json = try await run(fixture, "status", "--json")
            #expect(json.code == 0 && json.output.hasPrefix("{") && json.output.contains(#""revision":41"#))
        }
    }

    @Test("Commands")
    func commands() async throws {
        try await AdminFixture.run { fixture in
            let done = try await run(fixture, "restart", "chat-0")
            #expect(done.code == 0 && done.output.hasSuffix("chat-0: restarted\n"))
            #expect(try await run(fixture, "drain", "chat", "--no-wait").code == 0)
            let unknown = try await run(fixture, "stop", "nobody")
            #expect(unknown.code == 4 && unknown.errors.contains("no instance or provider named nobody"))
            #expect(try await run(fixture, "stop", "../status").code == 4)
            fixture.control.fail(with: .refused("it is attached"))
            let refused = try await run(fixture, "start", "vllm-test")
            #expect(refused.code == 1 && refused.errors == "stoker: it is attached\n")
            #expect(fixture.control.calls == ["restart chat-0", "drain chat"])
        }
    }

    @Test("Probe")
    func probe() async throws {
        try await AdminFixture.run { fixture in
            #expect(try await run(fixture, "probe").code == 0)
            #expect(try await run(fixture, "probe", "--ready").code == 0)
            fixture.control.change { $0.ready = false }
            #expect(try await run(fixture, "probe").code == 0)
            let unready = try await run(fixture, "probe", "--ready")
            #expect(unready.code == 1 && unready.errors.contains("not ready: 1/4 instances ready"))
        }
    }

    @Test("Logs, attach, detach, reload")
    func others() async throws {
        try await AdminFixture.run { fixture in
            let directory = try TemporaryDirectory()
            defer { directory.remove() }
            let path = directory.write("log", "one\ntwo\n")
            fixture.control.state.withLock { $0.logPaths["chat-0"] = path }
            #expect(try await run(fixture, "logs", "chat-0", "--lines", "1").output == "two\n")
            #expect(try await run(fixture, "logs", "chat-0", "--previous").code == 1)
            #expect(try await run(fixture, "logs", "nobody").code == 4)
            let key = directory.write("key", "k\n")
            let attached = try await run(fixture, "attach", "box", "http://10.0.0.8:8000", "--api-key-file", key)
            #expect(attached.code == 0)
            #expect(try await run(fixture, "detach", "vllm-test").code == 0)
            let plan = try await run(fixture, "reload", "--plan")
            #expect(plan.code == 0 && plan.output.hasPrefix("+ chat-2 (added)\n~ embed-0 (changed)\n"))
            #expect(try await run(fixture, "reload").output.hasSuffix("reloaded\n"))
            #expect(
                fixture.control.calls == [
                    "attach box http://10.0.0.8:8000", "detach vllm-test", "plan", "plan", "reload",
                ])
            // The plan and the reload itself, which the daemon remembers.
            fixture.control.fail(with: .refused("a.yaml:1:1: x: wrong"), times: 2)
            let wrong = try await run(fixture, "reload")
            #expect(wrong.code == 2 && wrong.errors == "stoker: a.yaml:1:1: x: wrong\n")
            fixture.control.fail(with: .failed("/usr/bin/stoker exited with 1 in its rehearsal"), times: 2)
            let broken = try await run(fixture, "reload")
            #expect(broken.code == 1 && broken.errors == "stoker: /usr/bin/stoker exited with 1 in its rehearsal\n")
        }
    }

    @Test("Following a log into the next run, until SIGINT")
    func follow() async throws {
        try await AdminFixture.run { fixture in
            let directory = try TemporaryDirectory()
            defer { directory.remove() }
            let first = directory.write("chat-0.1.log", "one\n")
            fixture.control.state.withLock { $0.logPaths["chat-0"] = first }
            let run = try CommandLineRun.Running(["logs", "chat-0", "--follow", "--socket", fixture.socketPath])
            #expect(await eventually { run.output.contains("one\n") })
            directory.write("chat-0.1.log", "one\ntwo\n")
            #expect(await eventually { run.output.contains("two\n") })
            let second = directory.write("chat-0.2.log", "three\n")
            fixture.control.state.withLock { state in
                state.previousLogPaths["chat-0"] = first
                state.logPaths["chat-0"] = second
            }
            #expect(await eventually { run.output == "one\ntwo\n--- started again ---\nthree\n" })
            #expect(try await blocking { run.end(with: SIGINT) } == .signal(SIGINT))
        }
    }

    @Test("Watching, elsewhere than on a terminal, and a last word at Ctrl-C while waiting")
    func interrupted() async throws {
        try await AdminFixture.run { fixture in
            let watch = try CommandLineRun.Running(["status", "--watch", "--json", "--socket", fixture.socketPath])
            #expect(await eventually { watch.output.contains(#""revision":41"#) })
            fixture.control.change { $0.ready = false }
            #expect(await eventually { watch.output.contains(#""revision":42"#) })
            #expect(try await blocking { watch.end(with: SIGINT) } == .signal(SIGINT))
            fixture.control.holdCommands()
            let wait = try CommandLineRun.Running(["start", "chat-1", "--socket", fixture.socketPath])
            #expect(await eventually { wait.output.contains("chat-1 loading") })
            #expect(try await blocking { wait.end(with: SIGINT) } == .signal(SIGINT))
            #expect(wait.errors.contains("the daemon goes on with it"))
        }
    }

    @Test("Token")
    func token() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let token = try AdminToken.load(file: nil, stateDirectory: directory.path, masterKey: nil).secret.reveal()
        #expect(try await run(["token", "--state-dir", directory.path]).output == token + "\n")
        let none = try await run(["token", "--state-dir", "\(directory.path)/none"])
        #expect(none.code == 1 && none.errors.contains("makes it at its first start"))
    }
}
