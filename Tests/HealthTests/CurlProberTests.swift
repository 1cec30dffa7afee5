import Fleet
import Foundation
import Testing

@testable import Health

@Suite("The prober on real sockets", .timeLimit(.minutes(2)))
struct CurlProberTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    private func probe(_ endpoint: Endpoint, path: String = "/v1/models", timeout: Duration = .seconds(20)) -> HTTPProbe
    {
        HTTPProbe(endpoint: endpoint, path: path, timeout: timeout)
    }

    /// Waits for something to become true; false when it does not within 20 s.
    private func eventually(_ condition: () -> Bool) async -> Bool {
        let end = Instant.now() + .seconds(20)
        while Instant.now() < end {
            if condition() { return true }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return condition()
    }

    /// An address of 127.0.0.1 where nothing listens.
    private func closedPort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return try ScriptedServer.bindLoopback(descriptor)
    }

    @Test("An answer, over TCP and a Unix socket: status, body, head", arguments: [true, false])
    func answer(unix: Bool) async throws {
        let server = try ScriptedServer(
            unix: unix, host: "engine.example:8000", basePath: "/base", reaction: .send(Self.ok))
        let prober = CurlProber()
        var probe = probe(server.endpoint)
        probe.apiKey = Secret("token-abc")
        let result = await prober.send(probe)
        #expect(result.outcome == .answer(status: 200, body: Array("hello".utf8)))
        #expect(result.elapsed > .zero && result.elapsed < .seconds(20))
        let request = try #require(server.requests.first)
        #expect(request.hasPrefix("GET /base/v1/models HTTP/1.1\r\n"))
        #expect(request.contains("\r\nHost: engine.example:8000\r\n"))
        #expect(request.contains("\r\nAuthorization: Bearer token-abc\r\n"))
        #expect(!request.lowercased().contains("expect:"))
        prober.shutdown()
    }

    @Test("A POST carries its body as JSON, a large one without Expect")
    func post() async throws {
        let server = try ScriptedServer(reaction: .send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
        let prober = CurlProber()
        var probe = probe(server.endpoint, path: "/v1/completions")
        probe.method = "POST"
        probe.body = Array(#"{"a":"é\#(String(repeating: "x", count: 2 << 20))"}"#.utf8)
        #expect(await prober.send(probe).outcome == .answer(status: 503, body: []))
        let request = try #require(server.requests.first)
        #expect(request.hasPrefix("POST /v1/completions HTTP/1.1\r\n"))
        #expect(request.contains("\r\nContent-Type: application/json\r\n"))
        #expect(request.hasSuffix(String(decoding: probe.body, as: UTF8.self).suffix(1000)))
        #expect(!request.prefix(500).contains("Expect"))
        prober.shutdown()
    }

    @Test("Nothing listens: refused, at once")
    func refused() async throws {
        let prober = CurlProber()
        let tcp = Endpoint(address: .tcp(ip: "127.0.0.1", port: try closedPort()), host: "x")
        #expect(await prober.send(probe(tcp)).outcome == .failure(.refused))
        let unix = Endpoint(address: .unix(path: "/tmp/stoker-health-no-such.sock"), host: "localhost")
        #expect(await prober.send(probe(unix)).outcome == .failure(.refused))
        let server = try ScriptedServer(unix: true, reaction: .hold)
        guard case .unix(let path) = server.endpoint.address else { return }
        let stale = path + ".stale"
        #expect(link(path, stale) == 0)
        server.stop()
        let left = Endpoint(address: .unix(path: stale), host: "localhost")
        #expect(await prober.send(probe(left)).outcome == .failure(.refused))
        unlink(stale)
        prober.shutdown()
    }

    @Test("Accepted and silent, or never accepted: timed out, when the time is up")
    func timedOut() async throws {
        let prober = CurlProber()
        let server = try ScriptedServer(reaction: .hold)
        let result = await prober.send(probe(server.endpoint, timeout: .milliseconds(300)))
        #expect(result.outcome == .failure(.timedOut))
        #expect(result.elapsed >= .milliseconds(290) && result.elapsed < .seconds(10))
        #expect(await eventually { server.hungUp == 1 })
        // A listener whose queue is full: a connection is never made.
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let port = try ScriptedServer.bindLoopback(descriptor)
        #expect(listen(descriptor, 0) == 0)
        let endpoint = Endpoint(address: .tcp(ip: "127.0.0.1", port: port), host: "x")
        let began = Instant.now()
        await withTaskGroup(of: HTTPProbeResult.self) { group in
            for _ in 0..<8 { group.addTask { await prober.send(probe(endpoint, timeout: .milliseconds(400))) } }
            for await result in group { #expect(result.outcome == .failure(.timedOut)) }
        }
        #expect(Instant.now() - began < .seconds(10))
        // No time at all is not endless time.
        #expect(await prober.send(probe(server.endpoint, timeout: .zero)).outcome == .failure(.timedOut))
        prober.shutdown()
    }

    @Test(
        "Broken in the middle: lost",
        arguments: [
            ScriptedServer.Reaction.hangUp, .send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ])
    func lost(reaction: ScriptedServer.Reaction) async throws {
        let server = try ScriptedServer(reaction: reaction)
        let prober = CurlProber()
        #expect(await prober.send(probe(server.endpoint)).outcome == .failure(.lost))
        prober.shutdown()
    }

    @Test("Bytes in pieces, chunked")
    func slowly() async throws {
        let parts = ["HTTP/1.1 200 OK\r\nTransfer-", "Encoding: chunked\r\n\r\n2\r", "\nhe\r\n3\r\nllo\r\n0\r\n\r\n"]
        let server = try ScriptedServer(reaction: .sendSlowly(parts, pause: .milliseconds(30)))
        let prober = CurlProber()
        #expect(await prober.send(probe(server.endpoint)).outcome == .answer(status: 200, body: Array("hello".utf8)))
        prober.shutdown()
    }

    @Test("A redirect is an answer; nonsense is a failure")
    func redirect() async throws {
        let prober = CurlProber()
        let server = try ScriptedServer(
            reaction: .send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
        #expect(await prober.send(probe(server.endpoint)).outcome == .answer(status: 302, body: []))
        let nonsense = try ScriptedServer(reaction: .send("220 smtp ready\r\n"))
        guard case .failure(.other) = await prober.send(probe(nonsense.endpoint)).outcome else {
            Issue.record("nonsense was taken for an answer")
            return
        }
        prober.shutdown()
    }

    @Test("A body of 64 MiB: what is kept is limited, the rest is dropped")
    func big() async throws {
        let server = try ScriptedServer(reaction: .big(64 << 20))
        let prober = CurlProber()
        var probe = probe(server.endpoint, timeout: .seconds(60))
        probe.maximumBytes = 1000
        guard case .answer(200, let body) = await prober.send(probe).outcome else {
            Issue.record("no answer")
            return
        }
        #expect(body.count == 1000)
        prober.shutdown()
    }

    @Test("A key or path that would break the head is not sent, and not shown")
    func injection() async throws {
        let server = try ScriptedServer(reaction: .send(Self.ok))
        let prober = CurlProber()
        var probe = probe(server.endpoint)
        probe.apiKey = Secret("abc\r\nX-Evil: 1")
        guard case .failure(.other(let sentence)) = await prober.send(probe).outcome else {
            Issue.record("it was sent")
            return
        }
        #expect(!sentence.contains("abc") && server.requests.isEmpty)
        probe.apiKey = nil
        probe.path = "/a b"
        guard case .failure(.other) = await prober.send(probe).outcome else {
            Issue.record("it was sent")
            return
        }
        prober.shutdown()
    }

    @Test("Hundreds at once")
    func many() async throws {
        let server = try ScriptedServer(unix: true, reaction: .send(Self.ok))
        let silent = try ScriptedServer(unix: true, reaction: .hold)
        let prober = CurlProber()
        await withTaskGroup(of: (Bool, HTTPProbeResult).self) { group in
            for index in 0..<300 {
                let isSilent = index.isMultiple(of: 10)
                let probe = probe(
                    isSilent ? silent.endpoint : server.endpoint, timeout: isSilent ? .milliseconds(500) : .seconds(30))
                group.addTask { (isSilent, await prober.send(probe)) }
            }
            for await (isSilent, result) in group {
                #expect(
                    result.outcome
                        == (isSilent ? .failure(.timedOut) : .answer(status: 200, body: Array("hello".utf8))))
            }
        }
        prober.shutdown()
    }

    @Test("A cancelled task gets its failure at once, and the connection closes")
    func cancellation() async throws {
        let server = try ScriptedServer(reaction: .hold)
        let prober = CurlProber()
        let probe = probe(server.endpoint, timeout: .seconds(60))
        let task = Task { await prober.send(probe) }
        #expect(await eventually { server.requests.count == 1 })
        let began = Instant.now()
        task.cancel()
        #expect(await task.value.outcome == .failure(.other("cancelled")))
        #expect(Instant.now() - began < .seconds(10))
        #expect(await eventually { server.hungUp == 1 })
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await prober.send(probe)
        }
        #expect(await early.value.outcome == .failure(.other("cancelled")))
        prober.shutdown()
    }

    @Test("Shutdown ends what is under way, refuses what comes, and may be repeated")
    func shutdown() async throws {
        let server = try ScriptedServer(reaction: .hold)
        let prober = CurlProber()
        let probe = probe(server.endpoint, timeout: .seconds(60))
        let tasks = (0..<20).map { _ in Task { await prober.send(probe) } }
        #expect(await eventually { server.requests.count == 20 })
        prober.shutdown()
        prober.shutdown()
        for task in tasks {
            guard case .failure(.other) = await task.value.outcome else {
                Issue.record("no failure")
                continue
            }
        }
        guard case .failure(.other) = await prober.send(probe).outcome else {
            Issue.record("it was sent")
            return
        }
    }

    @Test("The thread turns while nothing happens, and has its name")
    func heartbeat() async throws {
        let prober = CurlProber(threadName: "probes-of-a-test-with-a-long-name")
        let before = prober.lastTurn
        #expect(await eventually { prober.lastTurn > before })
        let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap {
            try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)
        }
        #expect(names.contains("probes-of-a-tes\n"))
        prober.shutdown()
    }

    @Test("TLS spoken to a server that does not: a TLS failure")
    func notTLS() async throws {
        let server = try ScriptedServer(reaction: .send("HTTP/1.1 400 Bad Request\r\n\r\n"))
        var endpoint = server.endpoint
        endpoint.tls = Endpoint.TLS(serverName: "engine.example")
        let prober = CurlProber()
        let result = await prober.send(probe(endpoint, timeout: .seconds(2)))
        // The scripted server waits for a head that never comes; a real one answers with plain text.
        #expect(result.outcome == .failure(.timedOut))
        let talker = try ScriptedServer(reaction: .hangUp)
        endpoint = talker.endpoint
        endpoint.tls = Endpoint.TLS(serverName: "engine.example")
        guard case .failure(.tls) = await prober.send(probe(endpoint)).outcome else {
            Issue.record("not a TLS failure")
            return
        }
        prober.shutdown()
    }
}
