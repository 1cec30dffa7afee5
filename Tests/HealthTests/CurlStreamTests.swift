import Fleet
import Foundation
import Synchronization
import Testing

@testable import Health

@Suite("An answer as it comes", .timeLimit(.minutes(2)))
struct CurlStreamTests {
    private func chat(_ endpoint: Endpoint) -> HTTPProbe {
        HTTPProbe(
            endpoint: endpoint, apiKey: Secret("the-key"), method: "POST", path: "/v1/chat/completions",
            body: Array("{}".utf8), timeout: .seconds(60))
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

    @Test("The head, then the parts, then the end", arguments: [true, false])
    func parts(unix: Bool) async throws {
        let server = try ScriptedServer(
            unix: unix,
            reaction: .sendSlowly(
                ["HTTP/1.1 200 OK\r\nX-Stoker-Instance:  chat-0\r\nContent-Length: 6\r\n\r\n", "abc", "def"],
                pause: .milliseconds(200)))
        let ends = Mutex(0)
        let stream = CurlStream(chat(server.endpoint)) { ends.withLock { $0 += 1 } }
        let head = try await stream.head()
        #expect(head.status == 200 && head.headers["x-stoker-instance"] == "chat-0")
        var parts: [String] = []
        for try await part in stream.body { parts.append(String(decoding: part, as: UTF8.self)) }
        #expect(parts == ["abc", "def"])
        #expect(await eventually { ends.withLock { $0 } == 1 })
        let request = try #require(server.requests.first)
        #expect(request.hasPrefix("POST /v1/chat/completions HTTP/1.1\r\n") && request.contains("Bearer the-key"))
    }

    @Test("No body, an answer cut short, nobody there")
    func endings() async throws {
        let empty = try ScriptedServer(reaction: .send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
        let none = CurlStream(chat(empty.endpoint))
        #expect(try await none.head().status == 503)
        for try await _ in none.body { Issue.record("there is no body") }
        let cut = try ScriptedServer(reaction: .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
        let broken = CurlStream(chat(cut.endpoint))
        #expect(try await broken.head().status == 200)
        await #expect(throws: CurlStream.Failure.self) { for try await _ in broken.body {} }
        let nobody = CurlStream(
            chat(Endpoint(address: .unix(path: "/tmp/stoker-nobody-\(getpid())"), host: "localhost")))
        await #expect(throws: CurlStream.Failure.self) { try await nobody.head() }
    }

    @Test("Whoever reads no more closes the connection: before the head, and in the middle of the body")
    func leaving() async throws {
        let silent = try ScriptedServer(reaction: .hold)
        let waiting = CurlStream(chat(silent.endpoint))
        let task = Task { try await waiting.head() }
        #expect(await eventually { silent.requests.count == 1 })
        task.cancel()
        #expect(await eventually { silent.hungUp == 1 })
        let ends = Mutex(0)
        let slow = try ScriptedServer(
            reaction: .sendSlowly(
                ["HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"] + (0..<100).map { _ in "d" },
                pause: .milliseconds(100)))
        do {
            let stream = CurlStream(chat(slow.endpoint)) { ends.withLock { $0 += 1 } }
            _ = try await stream.head()
            for try await _ in stream.body { break }
        }
        #expect(await eventually { ends.withLock { $0 } == 1 })
    }
}
