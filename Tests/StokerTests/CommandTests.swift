import ArgumentParser
import Fleet
import Supervisor
import Testing

@testable import stoker

@Suite("Commands and their parts")
struct CommandTests {
    @Test(
        "Exit codes of a parser's outcomes",
        arguments: [
            (["status", "--nonsense"], 2), (["nonsense"], 2), (["start"], 2), (["logs", "x", "--lines", "many"], 2),
            (["logs", "x", "--lines", "-1"], 2), (["logs", "x", "--previous", "--follow"], 2), (["attach", "x"], 2),
        ] as [([String], Int32)])
    func usage(_ arguments: [String], _ code: Int32) {
        do {
            _ = try StokerCommand.parseAsRoot(arguments)
            Issue.record("was parsed")
        } catch {
            #expect(StokerCommand.exitCode(for: error) == .validationFailure)
            #expect(Entry.report(error) == code)
        }
    }

    @Test("Every command has help, and every command of the contract is there")
    func help() {
        for word in [
            "run", "check", "status", "start", "stop", "restart", "drain", "undrain", "logs", "attach", "detach",
            "reload",
            "probe", "token", "sweep", "version", "bug-report",
        ] {
            do {
                var help = try StokerCommand.parseAsRoot([word, "--help"])
                try help.run()
                Issue.record("\(word) took --help for something else")
            } catch {
                #expect(StokerCommand.exitCode(for: error).isSuccess)
                #expect(StokerCommand.fullMessage(for: error).contains("USAGE: stoker \(word)"))
            }
        }
        #expect(!StokerCommand.helpMessage().contains("gateway --"))
    }

    @Test("Completion scripts", arguments: [CompletionShell.bash, .zsh, .fish])
    func completion(_ shell: CompletionShell) {
        #expect(StokerCommand.completionScript(for: shell).contains("undrain"))
    }

    @Test("The gateway's arguments")
    func gateway() throws {
        let arguments = try GatewayArguments([
            "--registry", "/run/stoker/registry.sock", "--listener", "5=127.0.0.1:8080", "--listener",
            "6=unix:/run/a=b.sock", "--loops", "4",
        ])
        #expect(arguments.registry == "/run/stoker/registry.sock" && arguments.loops == 4)
        #expect(
            arguments.listeners == [
                .init(descriptor: 5, name: "127.0.0.1:8080"), .init(descriptor: 6, name: "unix:/run/a=b.sock"),
            ])
        for wrong in [
            [], ["--registry"], ["--registry", "/r"], ["--registry", "/r", "--listener", "5"],
            ["--registry", "/r", "--listener", "2=x"], ["--listener", "5=x"],
            ["--registry", "/r", "--listener", "5=x", "--loops", "0"],
            ["--registry", "/r", "--listener", "5=x", "--y", "1"],
        ] {
            #expect(throws: GatewayArguments.Malformed.self) { try GatewayArguments(wrong) }
        }
    }

    @Test("A key's place in a file")
    func places() {
        let text = """
            # comment
            listen: 127.0.0.1:8080
            admin:
              listen: 127.0.0.1:8081
            providers:

              chat:
                # model: here
                model: m
                env: { PATH: /x }
              "embed":
                command:
                  - vllm
            """
        #expect(KeyPlace.find("listen", in: text) == KeyPlace(line: 2, column: 1))
        #expect(KeyPlace.find("admin.listen", in: text) == KeyPlace(line: 4, column: 3))
        #expect(KeyPlace.find("providers.chat.model", in: text) == KeyPlace(line: 9, column: 5))
        #expect(KeyPlace.find("providers.embed.command", in: text) == KeyPlace(line: 12, column: 5))
        #expect(KeyPlace.find("providers.chat.env.PATH", in: text) == KeyPlace(line: 10, column: 5))
        #expect(KeyPlace.find("providers.chat.command", in: text) == KeyPlace(line: 7, column: 3))
        #expect(KeyPlace.find("state", in: text) == nil)
    }

    @Test("What the preflight found, as lines")
    func problems() {
        let finding = PreflightFinding(.warning, "admin.listen", "is odd")
        #expect(
            CheckProblem(finding, file: "a.yaml", text: "admin:\n  listen: x\n").description
                == "a.yaml:2:3: admin.listen: warning: is odd")
        let error = CheckProblem(PreflightFinding(.error, "state", "is not there"), file: nil, text: nil)
        #expect(error.description == "(environment):0:0: state: is not there" && error.isError)
        let unit = PreflightFinding(.warning, "unit", "is little", at: .init(file: "/etc/u.service", line: 7))
        #expect(
            CheckProblem(unit, file: "a.yaml", text: "").description == "/etc/u.service:7:1: unit: warning: is little")
    }

    @Test("A plan as lines")
    func plan() {
        #expect(
            ReloadCommand.lines(ReloadReport(added: ["a"], removed: ["b"], changed: ["c"], untouched: ["d", "e"]))
                == ["+ a (added)", "- b (removed)", "~ c (changed)", "untouched: d, e"])
        #expect(
            ReloadCommand.lines(ReloadReport(needsRestart: ["gateway.loops"]))
                == ["no instance changes", "note: gateway.loops changes only when the daemon is restarted"])
    }

    @Test("Following a log into the next run, and through a daemon's absence")
    func follow() throws {
        func answer(_ status: Int, _ body: String, _ tag: String, offset: Int) -> AdminClient.Answer {
            AdminClient.Answer(
                status: status, headers: ["etag": tag, "x-stoker-log-offset": String(offset)], body: Array(body.utf8))
        }
        var follower = LogFollower(target: "/logs", first: answer(200, "one\n", "\"a\"", offset: 100))
        var asked: [String] = []
        var written = ""
        func step(_ answers: [AdminClient.Answer?]) throws -> Bool {
            var answers = answers[...]
            return try follower.step(
                ask: { target, headers in
                    asked.append(([target] + headers.map(\.1)).joined(separator: " "))
                    guard let answer = answers.popFirst() ?? nil else {
                        throw CommandFailure(status: .noDaemon, message: "")
                    }
                    return answer
                }, write: { written += String(decoding: $0, as: UTF8.self) })
        }
        #expect(try step([answer(206, "two\n", "\"a\"", offset: 104)]))
        #expect(try !step([answer(416, "", "\"a\"", offset: 0)]))
        #expect(try !step([nil]))
        #expect(
            try step([answer(200, "new\n", "\"b\"", offset: 0), answer(206, "last\n", "\"a\"", offset: 108)]))
        #expect(try !step([answer(404, "", "", offset: 0)]))
        #expect(written == "two\nlast\n--- started again ---\nnew\n")
        #expect(
            asked == [
                "/logs bytes=104- \"a\"", "/logs bytes=108- \"a\"", "/logs bytes=108- \"a\"", "/logs bytes=108- \"a\"",
                "/logs?run=previous bytes=108- \"a\"", "/logs bytes=4- \"b\"",
            ])
    }

    @Test("Names in paths")
    func escaping() {
        #expect(URLComponent.escaped("chat-0") == "chat-0")
        #expect(URLComponent.escaped("../a b/ü") == "..%2Fa%20b%2F%C3%BC")
    }
}
