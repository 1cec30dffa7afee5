import Fleet
import Foundation
import Testing

@testable import Gateway

/// What is tried again over sockets, how long first bytes are held for it, and who is asked next.
@Suite(.serialized) struct RetryTests {
    private static let request = post("/v1/chat/completions", #"{"model":"m"}"#)

    /// A server that answers everything with a status and a body.
    private static func answering(_ status: String, _ body: String) -> UpstreamStub {
        UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 \(status)\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    @Test func aDeadEnginesAnswerIsTriedElsewhereAndOthersAreNot() throws {
        let good = UpstreamStub.echo()
        for (status, body, isTried) in [
            ("500 X", #"{"error":{"message":"EngineCore encountered an issue."}}"#, true), ("500 X", "{}", false),
            ("502 X", "{}", false), ("429 X", "{}", false), ("400 X", #"{"message":"EngineCore"}"#, false),
            ("503 X", "{}", true),
        ] {
            let bad = Self.answering(status, body)
            let gateway = RunningGateway(
                fleet([("a", [instance("a-0", bad.port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]))
            defer { gateway.stop() }
            var makers: Set<String> = []
            // The other one may be asked first, some times in a row.
            for _ in 0..<200 where isTried ? bad.connections == 0 : makers.count < 2 {
                let reply = try #require(gateway.ask(Self.request))
                makers.insert(reply.field("x-stoker-instance") ?? "-")
                if reply.field("x-stoker-instance") == "a-0" { #expect(reply.text == body) }
            }
            #expect(makers == (isTried ? ["b-0"] : ["a-0", "b-0"]), "\(status) \(body)")
            #expect(bad.connections > 0)
        }
    }

    @Test(arguments: ["500 Any", "502 Any", "503 Any"])
    func anErrorOfAnInstanceUnpublishedSinceIsTriedElsewhere(_ status: String) throws {
        let arrived = DispatchSemaphore(value: 0)
        let go = DispatchSemaphore(value: 0)
        let leaving = UpstreamStub { peer, _ in
            guard peer.readMessage() != nil else { return }
            arrived.signal()
            go.wait()
            peer.write("HTTP/1.1 \(status)\r\ncontent-length: 2\r\n\r\n{}")
            _ = peer.waitForEnd()
        }
        let coming = UpstreamStub.echo()
        func snapshot(_ revision: UInt64) -> RegistrySnapshot {
            fleet(
                revision: revision,
                [
                    ("a", [instance("a-0", leaving.port, ["m"], published: revision == 1)]),
                    ("b", [instance("b-0", coming.port, ["m"], published: revision == 2)]),
                ])
        }
        let gateway = RunningGateway(snapshot(1))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.request)
        #expect(arrived.wait(timeout: .now() + 5) == .success)
        gateway.registry.publish(snapshot(2))
        #expect(gateway.registry.waitForApplied(SnapshotVersion(epoch: 1, revision: 2)))
        go.signal()
        let reply = try #require(client.readMessage())
        #expect(reply.status == 200)
        #expect(reply.field("x-stoker-instance") == "b-0")
    }

    @Test func passthroughIsTriedAgainOnlyIfNothingWasSent() throws {
        let (refusing, refused) = listenOnLoopback(isBlocking: true)
        close(refusing)
        let asked = LockedCount()
        let dropping = UpstreamStub { peer, _ in if peer.readMessage() != nil { asked.add(1) } }
        let good = UpstreamStub.echo()
        for (port, status) in [(refused, [200]), (dropping.port, [200, 502])] {
            let gateway = RunningGateway(
                fleet([("a", [instance("a-0", port, ["m"]), instance("a-1", good.port, ["m"])])]))
            defer { gateway.stop() }
            var seen: Set<Int> = []
            for _ in 0..<40 where seen.count < status.count || status.count == 1 {
                let reply = try #require(gateway.ask(post("/p/a/tokenize", #"{"model":"m"}"#)))
                seen.insert(reply.status)
                // An error about an instance names it.
                if reply.status == 502 { #expect(reply.field("x-stoker-instance") == "a-0") }
            }
            #expect(seen == Set(status))
        }
        #expect(asked.value > 0)
    }

    @Test func whatIsHeldIsNotSeenUntilItSaysSomething() throws {
        var patience = Patience()
        patience.hold = 60_000_000_000
        let dying = UpstreamStub { peer, _ in
            guard peer.readMessage() != nil else { return }
            peer.write(
                streamHead + chunk(": held\n\n") + chunk(roleEvent) + chunk(String(repeating: ":\n\n", count: 3000)))
        }
        let good = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", dying.port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]),
            patience: patience)
        defer { gateway.stop() }
        for _ in 0..<8 {
            let reply = try #require(gateway.ask(Self.request))
            #expect(reply.field("x-stoker-instance") == "b-0")
            #expect(!reply.text.contains("held"))
        }
        #expect(dying.connections > 0)
    }

    @Test(arguments: [true, false]) func holdingEndsByTimeOrBySize(isByTime: Bool) throws {
        var patience = Patience()
        patience.hold = isByTime ? 50_000_000 : 60_000_000_000
        let go = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            guard peer.readMessage() != nil else { return }
            peer.write(streamHead + chunk(": first\n\n"))
            if !isByTime { for _ in 0..<20 { peer.write(chunk(":" + String(repeating: " ", count: 1000) + "\n\n")) } }
            // Nothing more until the client has what is here.
            _ = go.wait(timeout: .now() + 10)
            peer.write(chunk("data: [DONE]\n\n") + "0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]), patience: patience)
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.request)
        #expect(client.read(until: ": first\n\n") != nil)
        go.signal()
        #expect(client.read(until: "0\r\n\r\n") != nil)
    }

    @Test func aConnectionThatIsNotMadeInTime() throws {
        // Its queue is full: whoever comes now hears nothing.
        let (full, port) = listenOnLoopback(isBlocking: true)
        defer { close(full) }
        listen(full, 0)
        let address = SocketAddress.bytes(of: .tcp(ip: "127.0.0.1", port: port))
        var fillers: [Socket] = []
        defer { for index in fillers.indices { fillers[index].close() } }
        for _ in 0..<8 {
            var error: Int32 = 0
            let filler = address.withUnsafeBufferPointer {
                Socket.connecting(to: ByteView($0.baseAddress!, $0.count), error: &error)
            }
            if let filler { fillers.append(filler) }
        }
        let good = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet(
                settings: { $0.connectTimeoutMilliseconds = 200 },
                [("a", [instance("a-0", port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]))
        defer { gateway.stop() }
        for request in [post("/v1/completions", #"{"model":"a/m"}"#), post("/p/a/tokenize", "{}")] {
            let reply = try #require(gateway.ask(request))
            #expect(reply.status == 504)
            #expect(reply.text.contains("\"upstream_timeout\""))
        }
        let reply = try #require(gateway.ask(Self.request))
        #expect(reply.status == 200 && reply.field("x-stoker-instance") == "b-0")
    }

    @Test func aServerThatIsSlowToTakeABodyIsConnected() throws {
        let upstream = UpstreamStub { peer, _ in
            guard peer.read(until: "\r\n\r\n") != nil else { return }
            Thread.sleep(forTimeInterval: 0.6)
            guard peer.read(count: 8 << 20) != nil else { return }
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(
            fleet(settings: { $0.connectTimeoutMilliseconds = 200 }, [("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let start = #"{"model":"m","x":""#
        let body = start + String(repeating: "x", count: (8 << 20) - start.utf8.count - 2) + "\"}"
        #expect(try #require(gateway.ask(post("/v1/completions", body))).status == 200)
    }

    /// Servers that know responses by their number and are asked in the order of the table.
    private static func keepers(_ count: Int, answers: [Int: String] = [:]) -> [UpstreamStub] {
        (0..<count).map { index in
            UpstreamStub { peer, _ in
                while let request = peer.readMessage() {
                    let knows = (request.firstLine + request.text).contains("resp_\(index)")
                    let status = answers[index] ?? (knows ? "200 OK" : "404 Not Found")
                    let body = request.firstLine.hasPrefix("HEAD") ? "" : knows ? request.text + "|\(index)" : "nothing"
                    peer.write(
                        "HTTP/1.1 \(status)\r\ncontent-length: \(body.isEmpty ? 7 : body.utf8.count)\r\n\r\n\(body)")
                }
            }
        }
    }

    @Test func aFollowUpOfAnUnknownResponseAsksEachInTurn() throws {
        let stubs = Self.keepers(3)
        let gateway = RunningGateway(
            fleet([("a", stubs.enumerated().map { instance("a-\($0.offset)", $0.element.port, ["m"]) })]))
        defer { gateway.stop() }
        for index in [2, 0, 1] {
            let body = #"{"model":"a/m","input":"x","previous_response_id":"resp_\#(index)"}"#
            let reply = try #require(gateway.ask(post("/v1/responses", body)))
            #expect(reply.status == 200)
            #expect(reply.field("x-stoker-instance") == "a-\(index)")
            #expect(reply.text == body.replacingOccurrences(of: "a/m", with: "m") + "|\(index)")
        }
        let none = try #require(
            gateway.ask(post("/v1/responses", #"{"model":"m","previous_response_id":"resp_9"}"#)))
        #expect(none.status == 404)
        #expect(none.text.contains("response_not_found") && none.text.contains("VLLM_ENABLE_RESPONSES_API_STORE"))
    }

    @Test func anInquiryGoesOnBehindWhoCannotAnswer() throws {
        let (refusing, refused) = listenOnLoopback(isBlocking: true)
        close(refusing)
        let (refusingToo, refusedToo) = listenOnLoopback(isBlocking: true)
        close(refusingToo)
        // The first serves no text at all.
        let stubs = Self.keepers(2, answers: [0: "501 Not Implemented"])
        let gateway = RunningGateway(
            fleet([
                ("a", [instance("a-0", stubs[0].port, ["m"]), instance("a-1", refused, ["m"])]),
                ("b", [instance("b-0", refusedToo, ["m"]), instance("b-1", stubs[1].port, ["m"])]),
            ]))
        defer { gateway.stop() }
        #expect(gateway.ask(get("/v1/responses/resp_1"))?.field("x-stoker-instance") == "b-1")
        let client = gateway.client()
        client.write(get("/v1/responses/resp_1", method: "HEAD"))
        #expect(client.read(until: "\r\n\r\n")?.contains("x-stoker-instance: b-1") == true)
        // Who could not be reached might have known it.
        #expect(gateway.ask(get("/v1/responses/resp_7"))?.status == 503)
    }
}
