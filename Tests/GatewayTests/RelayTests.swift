import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// The worker's loop over sockets, against scripted servers.
@Suite(.serialized) struct RelayTests {
    @Test func routesByModelAndChangesNothingElse() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["org/m"])])]))
        defer { gateway.stop() }
        let body = "{ \"messages\" : [\"é\\u00e9\"],\n\"model\" : \"vllm\\/org\\/m\" , \"x\":1.50}"
        let reply = try #require(
            gateway.ask(
                post(
                    "/v1/chat/completions?beta=true", body,
                    "Cookie: a=b\r\nX-Mine: yes\r\nConnection: x-gone\r\nX-Gone: 1\r\nAccept-Encoding: gzip\r\n"
                        + "X-Forwarded-For: 1.2.3.4\r\nProxy-Thing: 1\r\nx-request-id: abc-1\r\n")))
        #expect(reply.status == 200)
        #expect(reply.field("x-request-id") == "abc-1")
        #expect(reply.field("x-stoker-instance") == "vllm-0")
        #expect(reply.field("server") == "uvicorn")
        let parts = reply.text.components(separatedBy: "|")
        #expect(parts[0].hasPrefix("POST /v1/chat/completions?beta=true HTTP/1.1\r\n"))
        let seen = Message(head: parts[0], body: [])
        #expect(seen.field("host") == "up.example:1")
        #expect(seen.field("authorization") == "Bearer upstream-key")
        #expect(seen.field("x-mine") == "yes")
        #expect(seen.field("x-request-id") == "abc-1")
        for gone in ["cookie", "connection", "x-gone", "accept-encoding", "x-forwarded-for", "proxy-thing"] {
            #expect(seen.field(gone) == nil, "\(gone)")
        }
        #expect(!parts[0].contains("mk"))
        #expect(parts[1] == "{ \"messages\" : [\"é\\u00e9\"],\n\"model\" : \"org/m\" , \"x\":1.50}")
    }

    @Test func takesChunkedBodiesSplitAnywhere() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let request =
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\ncontent-type: application/json; charset=utf-8\r\n"
            + "transfer-encoding: chunked\r\n\r\n" + chunk("{\"mod") + "3;ext=1\r\nel\"\r\n" + chunk(":\"m\"}")
            + "0\r\nTrailer: x\r\n\r\n" + get("/health")
        let client = gateway.client()
        for byte in request.utf8 { client.write([byte]) }
        let reply = try #require(client.readMessage())
        #expect(reply.text.hasSuffix("|{\"model\":\"m\"}"))
        #expect(reply.text.contains("content-length: 13\r\n"))
        #expect(client.readMessage()?.text == #"{"status":"ok"}"#)
    }

    @Test func relaysAStreamAsItComes() throws {
        let events = roleEvent + tokenEvent("a") + tokenEvent("ü") + "data: [DONE]\n\n"
        let coded = chunk(roleEvent) + chunk(tokenEvent("a")) + chunk(tokenEvent("ü")) + chunk("data: [DONE]\n\n")
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                for byte in Array((streamHead + coded + "0\r\nX-Trailer: 1\r\n\r\n").utf8) { peer.write([byte]) }
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        for _ in 0..<3 {
            client.write(post("/v1/chat/completions", #"{"model":"m","stream":true}"#))
            let reply = try #require(client.readMessage())
            #expect(reply.text == events)
            #expect(reply.field("x-trailer") == nil)
        }
        #expect(upstream.connections == 1)
        // An HTTP/1.0 client gets the payload alone, and the end of the connection.
        let old = gateway.client()
        let body = #"{"model":"m"}"#
        old.write(
            "POST /v1/completions HTTP/1.0\r\nx-api-key: mk\r\ncontent-type: application/json\r\n"
                + "content-length: \(body.utf8.count)\r\n\r\n\(body)")
        let all = old.readAll()
        #expect(all.hasSuffix("\r\n\r\n" + events))
        #expect(!all.contains("chunked"))
    }

    @Test func firstBytesLeaveWithoutTheRest() throws {
        let gate = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            peer.write(chunk(roleEvent) + chunk(tokenEvent("a")))
            gate.wait()
            peer.write(chunk("data: [DO"))
            gate.wait()
            peer.write(chunk("NE]\n\n") + "0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(client.read(until: chunk(tokenEvent("a"))) != nil)
        gate.signal()
        #expect(client.read(until: "data: [DO") != nil)
        gate.signal()
        #expect(client.read(until: "0\r\n\r\n") != nil)
    }

    @Test func aClientThatLeavesBeforeTheFirstTokenClosesItsServer() throws {
        let ended = DispatchSemaphore(value: 0)
        let asked = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            asked.signal()
            if peer.waitForEnd() { ended.signal() }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(asked.wait(timeout: .now() + 5) == .success)
        let left = Date()
        client.close()
        #expect(ended.wait(timeout: .now() + 5) == .success)
        #expect(Date().timeIntervalSince(left) < 0.5)
        let aborts = gateway.registry.wait {
            if case .report(let report) = $0, report.counters["client_aborts:vllm"] == 1 { true } else { nil }
        }
        #expect(aborts == true)
    }

    @Test(arguments: [
        ("/v1/chat/completions", "data: {\"error\":"),
        ("/v1/responses", "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":8,"),
        ("/v1/messages", "event: error\ndata: {\"type\":\"error\""),
    ])
    func aServerThatDiesEndsTheStreamWithAnError(_ path: String, _ mark: String) throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk("event: x\ndata: {\"id\":\"resp_1\",\"sequence_number\":7}\n\n"))
            peer.write("ff\r\ndata: {\"cut\":")
            peer.finish()
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post(path, #"{"model":"m","stream":true}"#))
        let reply = try #require(client.readMessage())
        #expect(reply.text.contains("\n" + mark))
        #expect(reply.text.contains("upstream_lost"))
        #expect(!reply.text.contains("[DONE]"))
        #expect(client.waitForEnd())
    }

    @Test func aServerThatDiesInAPlainBodyCutsTheConnection() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
            peer.write([UInt8](repeating: 0x61, count: 50_000))
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post("/v1/completions", #"{"model":"m"}"#))
        #expect(client.readMessage() == nil)
    }

    @Test func aStaleConnectionIsTriedAgainOnce() throws {
        let upstream = UpstreamStub { peer, number in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\(number)")
                // The next request finds the connection being closed.
                if number == 1 {
                    _ = peer.read(count: 1)
                    return peer.reset()
                }
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        for expected in ["1", "2", "2"] {
            client.write(post("/v1/completions", #"{"model":"m"}"#))
            let reply = try #require(client.readMessage())
            #expect(reply.status == 200)
            #expect(reply.text == expected)
        }
    }

    @Test func anotherInstanceTakesOver() throws {
        let (refusing, refused) = listenOnLoopback(isBlocking: true)
        close(refusing)
        let busy = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")
            }
        }
        let dead = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk(roleEvent))
        }
        let aborted = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write(
                    streamHead + chunk(roleEvent)
                        + chunk(#"data: {"choices":[{"delta":{"content":""},"finish_reason":"abort"}]}"# + "\n\n")
                        + "0\r\n\r\n")
            }
        }
        let good = UpstreamStub.echo()
        for (name, port) in [("refused", refused), ("busy", busy.port), ("dead", dead.port), ("aborted", aborted.port)]
        {
            let gateway = RunningGateway(
                fleet([("a", [instance("a-0", port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]))
            defer { gateway.stop() }
            for _ in 0..<8 {
                let reply = try #require(gateway.ask(post("/v1/chat/completions", #"{"model":"m"}"#)))
                #expect(reply.status == 200, "\(name)")
                #expect(reply.field("x-stoker-instance") == "b-0", "\(name)")
            }
            // The only instance's own answer passes.
            let only = try #require(
                gateway.ask(post("/v1/chat/completions", #"{"model":"a/m"}"#, "x-name: \(name)\r\n")))
            switch name {
            case "refused": #expect(only.status == 503 && only.text.contains("model_unavailable"))
            case "busy": #expect(only.status == 503 && only.text == "busy" && only.field("retry-after") != nil)
            case "dead": #expect(only.status == 502 && only.text.contains("upstream_lost"))
            default: #expect(only.status == 200 && only.text.contains("abort"))
            }
        }
    }

    @Test func ourOwnKeyRefusedIsOurOwnError() throws {
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 401 Unauthorized\r\ncontent-length: 24\r\n\r\n{\"error\":\"Unauthorized\"}")
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        for request in [post("/v1/completions", #"{"model":"m"}"#), get("/p/vllm/models")] {
            let reply = try #require(gateway.ask(request))
            #expect(reply.status == 502)
            #expect(reply.text.contains("upstream_auth"))
        }
    }

    @Test func aSlowReaderStopsTheReading() throws {
        let written = LockedCount()
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            let piece = Array(chunk("data: " + String(repeating: "x", count: 8000) + "\n\n").utf8)
            for _ in 0..<4000 {
                guard peer.write(piece) else { return }
                written.add(piece.count)
            }
            peer.write("0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client(receiveBuffer: 8192)
        client.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(client.read(until: "data: ") != nil)
        // The server's writing comes to a halt while the client reads nothing: the count stands still.
        var last = -1
        while written.value != last {
            last = written.value
            _ = written.waitForMore(than: last, seconds: 0.7)
        }
        #expect(last < 20_000_000)
        let total = 4000 * chunk("data: " + String(repeating: "x", count: 8000) + "\n\n").utf8.count
        #expect(client.skip(total - "1f48\r\ndata: ".utf8.count) == "0\r\n\r\n")
    }

    @Test func aSlowReaderIsCutOff() throws {
        let ended = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            let piece = Array(chunk("data: " + String(repeating: "x", count: 60_000) + "\n\n").utf8)
            while peer.write(piece) {}
            ended.signal()
        }
        let snapshot = fleet(
            settings: { $0.slowReaderTimeoutMilliseconds = 200 }, [("vllm", [instance("vllm-0", upstream.port, ["m"])])]
        )
        let gateway = RunningGateway(snapshot)
        defer { gateway.stop() }
        let client = gateway.client(receiveBuffer: 8192)
        client.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(ended.wait(timeout: .now() + 5) == .success)
    }
}

/// A number that threads share.
final class LockedCount: @unchecked Sendable {
    private let condition = NSCondition()
    private var count = 0

    var value: Int {
        condition.lock()
        defer { condition.unlock() }
        return count
    }

    func add(_ more: Int) {
        condition.lock()
        count += more
        condition.broadcast()
        condition.unlock()
    }

    func waitForMore(than last: Int, seconds: Double) -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        condition.lock()
        defer { condition.unlock() }
        while count <= last { if !condition.wait(until: deadline) { return false } }
        return true
    }
}
