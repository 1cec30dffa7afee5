import Fleet
import FoundationEssentials
import Glibc
import Testing

@testable import Supervisor

@Suite("Admin server over sockets", .serialized)
struct AdminServerTests {
    static let bearer = ("Authorization", "Bearer \(AdminFixture.token)")

    @Test("Status, readiness, metrics and the page, with headers that keep them safe")
    func reads() async throws {
        try await AdminFixture.run { fixture in
            let status = try await fixture.ask("GET", "/api/v1/status")
            #expect(status.status == 200)
            #expect(try JSONDecoder().decode(StatusReport.self, from: Data(status.body)) == SampleReport.lively)
            #expect(try await fixture.ask("GET", "/healthz").text == #"{"status":"ok"}"#)
            #expect(try await fixture.ask("GET", "/readyz").status == 200)
            fixture.control.change { $0.ready = false }
            let unready = try await fixture.ask("GET", "/readyz")
            #expect(unready.status == 503)
            #expect(unready.text.contains("1/4 instances ready"))
            let metrics = try await fixture.ask("GET", "/metrics")
            #expect(metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(metrics.text.contains("stoker_build_info{version=\"\(BuildInfo.version)\",mode=\"supervise\"} 1"))
            for (path, type) in [
                ("/", "text/html; charset=utf-8"), ("/dashboard/style.css", "text/css; charset=utf-8"),
                ("/dashboard/main.js", "text/javascript; charset=utf-8"), ("/login", "text/html; charset=utf-8"),
                ("/login.css", "text/css; charset=utf-8"),
            ] {
                let page = try await fixture.ask("GET", path)
                #expect(page.status == 200)
                #expect(page.headers["content-type"] == type)
                #expect(page.headers["x-content-type-options"] == "nosniff")
                #expect(page.headers["cache-control"] == "no-store")
                let policy = try #require(page.headers["content-security-policy"])
                #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
                if type.contains("html") { #expect(!page.text.contains("<style") && !page.text.contains("onclick")) }
            }
            let head = try await fixture.ask("HEAD", "/api/v1/status")
            #expect(head.status == 200 && head.body.isEmpty && head.headers["content-length"] != "0")
        }
    }

    @Test("The Unix socket: 0660, no token; its file goes with the server")
    func unixSocket() async throws {
        var path = ""
        try await AdminFixture.run { fixture in
            path = fixture.socketPath
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o660)
            let answer = try await fixture.askUnix("POST", "/api/v1/instances/chat-0/restart")
            #expect(answer.status == 200)
            #expect(fixture.control.calls == ["restart chat-0"])
            #expect(await fixture.server.boundAddresses.last == .unix(path: path))
        }
        #expect(access(path, F_OK) != 0)
    }

    struct Attempt: Sendable {
        var method: String
        var target: String
        var wantsToken: Bool
    }

    @Test(
        "Loopback: wrong and right tokens",
        arguments: [
            Attempt(method: "GET", target: "/api/v1/status", wantsToken: false),
            Attempt(method: "GET", target: "/metrics", wantsToken: false),
            Attempt(method: "GET", target: "/api/v1/instances/chat-0/logs", wantsToken: true),
            Attempt(method: "POST", target: "/api/v1/instances/chat-0/drain", wantsToken: true),
            Attempt(method: "DELETE", target: "/api/v1/instances/vllm-test", wantsToken: true),
            Attempt(method: "POST", target: "/api/v1/reload", wantsToken: true),
            Attempt(method: "GET", target: "/api/v1/history", wantsToken: false),
            Attempt(method: "GET", target: "/api/v1/timeline", wantsToken: false),
        ])
    func loopback(_ attempt: Attempt) async throws {
        try await AdminFixture.run { fixture in
            let log = try TemporaryDirectory()
            defer { log.remove() }
            let file = log.write("chat-0.log", "a line\n")
            fixture.control.state.withLock { $0.logPaths["chat-0"] = file }
            for header in [nil, ("Authorization", "Bearer wrong"), ("Authorization", "Basic eDp5")]
                as [(String, String)?]
            {
                let answer = try await fixture.ask(attempt.method, attempt.target, headers: header.map { [$0] } ?? [])
                #expect(answer.status == (attempt.wantsToken ? 401 : 200))
                if attempt.wantsToken {
                    #expect(answer.errorCode == "invalid_token")
                    #expect(answer.headers["www-authenticate"] != nil)
                }
            }
            for word in ["Bearer", "bearer", "BEARER "] {
                let header = ("Authorization", "\(word) \(AdminFixture.token)")
                #expect(try await fixture.ask(attempt.method, attempt.target, headers: [header]).status == 200)
            }
        }
    }

    @Test("Elsewhere: everything but the probes wants the token; a browser gets the login page")
    func elsewhere() async throws {
        try await AdminFixture.run(host: "0.0.0.0") { fixture in
            for path in [
                "/", "/dashboard/main.js", "/api/v1/status", "/api/v1/events", "/api/v1/history", "/api/v1/timeline",
                "/metrics",
            ] {
                #expect(try await fixture.ask("GET", path).status == 401, "\(path)")
            }
            #expect(try await fixture.ask("GET", "/healthz").status == 200)
            #expect(try await fixture.ask("GET", "/readyz", headers: [("Host", "lb.example")]).status == 200)
            #expect(try await fixture.ask("GET", "/metrics", headers: [Self.bearer]).status == 200)
            let page = try await fixture.ask("GET", "/", headers: [("Accept", "text/html,*/*")])
            #expect(page.status == 401 && page.text.contains("<form method=\"post\" action=\"/login\">"))
        }
    }

    @Test("Host and Origin")
    func hostAndOrigin() async throws {
        try await AdminFixture.run { fixture in
            let rebound = try await fixture.ask("GET", "/api/v1/status", headers: [("Host", "evil.example")])
            #expect(rebound.status == 403 && rebound.errorCode == "forbidden")
            let two = try await fixture.ask(
                "GET", "/api/v1/status", headers: [("Host", "localhost"), ("Host", "evil.example")])
            #expect(two.status == 400)
            let headers = [Self.bearer, ("Origin", "http://evil.example")]
            let foreign = try await fixture.ask("POST", "/api/v1/instances/chat-0/stop", headers: headers)
            #expect(foreign.status == 403)
            #expect(fixture.control.calls.isEmpty)
            let own = try await fixture.ask(
                "POST", "/api/v1/instances/chat-0/stop",
                headers: [
                    Self.bearer, ("Host", "127.0.0.1:\(fixture.port)"), ("Origin", "http://127.0.0.1:\(fixture.port)"),
                ])
            #expect(own.status == 200)
        }
    }

    @Test("Login by form and by JSON, the cookie, logout")
    func login() async throws {
        try await AdminFixture.run(host: "0.0.0.0") { fixture in
            let form = [("Content-Type", "application/x-www-form-urlencoded")]
            let wrong = try await fixture.ask("POST", "/login", headers: form, body: "token=wrong")
            #expect(
                wrong.status == 401 && wrong.headers["set-cookie"] == nil && wrong.text.contains("not the admin token"))
            let right = try await fixture.ask("POST", "/login", headers: form, body: "token=\(AdminFixture.token)")
            #expect(right.status == 303 && right.headers["location"] == "/")
            let cookie = try #require(right.headers["set-cookie"])
            #expect(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict")
                    && !cookie.contains(AdminFixture.token))
            let session = ("Cookie", "other=1; " + cookie.prefix { $0 != ";" })
            #expect(try await fixture.ask("GET", "/", headers: [session]).status == 200)
            #expect(try await fixture.ask("GET", "/api/v1/session", headers: [session]).text == #"{"logged_in":true}"#)
            #expect(try await fixture.ask("POST", "/api/v1/reload", headers: [session]).status == 200)
            let json = try await fixture.ask("POST", "/login", body: #"{"token":"\#(AdminFixture.token)"}"#)
            #expect(json.status == 200 && json.headers["set-cookie"] != nil)
            #expect(try await fixture.ask("POST", "/logout", headers: [session]).status == 200)
            #expect(try await fixture.ask("GET", "/", headers: [session]).status == 401)
            #expect(try await fixture.ask("GET", "/api/v1/session", headers: [session]).text == #"{"logged_in":false}"#)
        }
    }

    @Test("Commands: done, unknown, refused, failed, no waiting")
    func commands() async throws {
        try await AdminFixture.run { fixture in
            let done = try await fixture.askUnix("POST", "/api/v1/instances/chat/stop")
            #expect(done.text == #"{"command":"stop","name":"chat","outcome":"done"}"#)
            let unknown = try await fixture.askUnix("POST", "/api/v1/instances/nobody/stop")
            #expect(unknown.status == 404 && unknown.errorCode == "no_such_instance")
            #expect(unknown.text.contains("stoker status"))
            #expect(try await fixture.askUnix("POST", "/api/v1/instances/a%2Fb/stop").status == 404)
            fixture.control.fail(with: .refused("vllm-test is attached: stop it where it was started"))
            let refused = try await fixture.askUnix("POST", "/api/v1/instances/vllm-test/stop")
            #expect(refused.status == 409 && refused.errorCode == "refused")
            fixture.control.fail(with: .failed("the GPU is full"))
            let failed = try await fixture.askUnix("POST", "/api/v1/instances/chat-0/start")
            #expect(failed.status == 500 && failed.text.contains("the GPU is full"))
            fixture.control.holdCommands()
            let accepted = try await fixture.askUnix("POST", "/api/v1/instances/chat-0/start?wait=0")
            #expect(accepted.status == 202)
            fixture.control.release()
            fixture.control.fail(with: .refused("no"))
            #expect(try await fixture.askUnix("POST", "/api/v1/instances/chat-0/start?wait=0").status == 409)
        }
    }

    @Test("Attach, detach, reload and its plan")
    func attachAndReload() async throws {
        try await AdminFixture.run { fixture in
            let json = ("Content-Type", "application/json")
            let key = try TemporaryDirectory()
            defer { key.remove() }
            let file = key.write("key", "sk-upstream\n", mode: 0o600)
            let attached = try await fixture.askUnix(
                "PUT", "/api/v1/instances/box", headers: [json],
                body: #"{"base_url":"http://10.0.0.8:8000/v1","api_key_file":"\#(file)"}"#)
            #expect(attached.status == 200)
            #expect(fixture.control.calls == ["attach box http://10.0.0.8:8000/v1"])
            #expect(fixture.control.state.withLock { $0.attachedKeys["box"] } == file)
            for (body, code) in [
                ("", "invalid_json"), ("[]", "invalid_json"), ("{}", "invalid_json"),
                (#"{"base_url":1}"#, "invalid_json"),
                (#"{"base_url":"http://x","api_key_file":"relative"}"#, "invalid_request"),
                (#"{"base_url":"http://x","api_key_file":"/does/not/exist"}"#, "invalid_request"),
                (#"{"base_url":"http://x","api_key_file":"/dev/zero"}"#, "invalid_request"),
                (#"{"base_url":"http://x","api_key":"a","api_key_file":"/b"}"#, "invalid_request"),
            ] {
                let answer = try await fixture.askUnix("PUT", "/api/v1/instances/box", headers: [json], body: body)
                #expect(answer.status == 400 && answer.errorCode == code, "\(body): \(answer.text)")
            }
            #expect(try await fixture.askUnix("PUT", "/api/v1/instances/box", body: "{}").status == 415)
            #expect(
                try await fixture.askUnix("PUT", "/api/v1/instances/Box", headers: [json], body: "{}").status == 400)
            let large = String(repeating: "x", count: AdminResponder.longestBody + 1)
            #expect(
                try await fixture.askUnix("PUT", "/api/v1/instances/box", headers: [json], body: large).status == 413)
            #expect(try await fixture.askUnix("DELETE", "/api/v1/instances/vllm-test").status == 200)
            let plan = try await fixture.askUnix("POST", "/api/v1/reload?plan=1")
            #expect(try JSONDecoder().decode(ReloadReport.self, from: Data(plan.body)).added == ["chat-2"])
            _ = try await fixture.askUnix("POST", "/api/v1/reload")
            #expect(fixture.control.calls.suffix(2) == ["plan", "reload"])
            fixture.control.fail(with: .failed("stoker.yaml:3:1: listen: wrong"))
            #expect(try await fixture.askUnix("POST", "/api/v1/reload").status == 422)
        }
    }

    @Test("Unknown routes and methods have the envelope")
    func unknown() async throws {
        try await AdminFixture.run { fixture in
            let route = try await fixture.ask("GET", "/api/v1/nothing")
            #expect(route.status == 404 && route.errorCode == "unknown_route")
            let method = try await fixture.ask("DELETE", "/api/v1/status")
            #expect(method.status == 405 && method.errorCode == "method_not_allowed")
            #expect(method.headers["allow"] == "GET, HEAD")
        }
    }

    @Test("Events: the present state, then each change with its revision; the server's end ends them")
    func events() async throws {
        try await AdminFixture.run { fixture in
            let client = fixture.tcp
            let (events, source) = AsyncStream.makeStream(of: StatusReport.self)
            let reading = Task {
                try await blocking {
                    var reader = EventReader()
                    try client.stream("GET", "/api/v1/events", silence: .seconds(10)) { status, headers, part in
                        #expect(status == 200 && headers["content-type"] == "text/event-stream")
                        for event in reader.append(part) {
                            if let report = try? JSONDecoder().decode(StatusReport.self, from: Data(event)) {
                                source.yield(report)
                            }
                        }
                        return true
                    }
                }
            }
            var iterator = events.makeAsyncIterator()
            #expect(await iterator.next()?.revision == 41)
            fixture.control.change { $0.ready = false }
            var next = await iterator.next()
            while let report = next, report.revision == 41 { next = await iterator.next() }
            #expect(next?.revision == 42 && next?.ready == false)
            #expect(fixture.control.followers == 1)
            let began = Instant.now()
            await fixture.server.stop()
            #expect((Instant.now() - began).seconds < AdminServer.grace.seconds)
            _ = await reading.result
        }
    }

    @Test("A follower that goes away is noticed")
    func followerLeaves() async throws {
        try await AdminFixture.run { fixture in
            let client = fixture.unix
            _ = try await blocking {
                try client.stream("GET", "/api/v1/events", silence: .seconds(10)) { _, _, _ in false }
            }
            let control = fixture.control
            #expect(await eventually { control.followers == 0 })
        }
    }

    @Test("A taken port, another daemon's socket, a stale one")
    func taken() async throws {
        try await AdminFixture.run { fixture in
            func server(_ port: UInt16, _ socket: String) -> AdminServer {
                AdminServer(
                    control: fixture.control, token: AdminToken(Secret("t")),
                    addresses: [.tcp(host: "127.0.0.1", port: port)],
                    socketPath: socket, logger: .quiet)
            }
            let other = "\(fixture.directory)/other.sock"
            await #expect {
                try await server(fixture.port, other).start()
            } throws: { error in
                "\(error)".contains("127.0.0.1:\(fixture.port) is taken") && "\(error)".contains("admin.listen")
            }
            await #expect {
                try await server(0, fixture.socketPath).start()
            } throws: { "\($0)".contains("stop that daemon") }
            #expect(access(other, F_OK) != 0)
            // What a daemon that was killed leaves behind answers nobody: the next one takes its place.
            close(try ListeningSocket.bind(.unix(path: other), setting: "").descriptor)
            #expect(access(other, F_OK) == 0)
            let third = server(0, other)
            try await third.start()
            let client = AdminClient(.unix(path: other))
            #expect(try await blocking { try client.ask("GET", "/healthz").status } == 200)
            await third.stop()
            await #expect {
                try await server(0, "/" + String(repeating: "x", count: 120)).start()
            } throws: { "\($0)".contains("107") }
        }
    }

    @Test("Stopping does not wait for a command that takes its time")
    func stopDuringCommand() async throws {
        try await AdminFixture.run { fixture in
            fixture.control.holdCommands()
            let client = fixture.unix
            let waiting = Task {
                try await blocking { try client.ask("POST", "/api/v1/instances/chat-0/start", silence: .seconds(20)) }
            }
            let control = fixture.control
            #expect(await eventually { control.calls == ["start chat-0"] })
            await fixture.server.stop()
            // Either the answer that says so or a closed connection; never a wait.
            if let answer = try? await waiting.value { #expect(answer.status == 503) }
        }
    }
}
