import Foundation
import Testing

@testable import Gateway

/// An attached server that means harm, or is badly broken: its client gets an error or a cut response, the next one its
/// own answer, and the gateway goes on.
@Suite(.serialized) struct HostileServerTests {
    private static let good = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"
    private static let request = post("/v1/completions", #"{"model":"m"}"#)

    /// A gateway before a server whose first connection speaks by a script, and all others well.
    private static func gateway(_ script: @escaping @Sendable (Peer) -> Void) -> (RunningGateway, UpstreamStub) {
        let upstream = UpstreamStub { peer, number in
            while peer.readMessage() != nil {
                if number == 1 {
                    script(peer)
                    _ = peer.waitForEnd()
                    return
                }
                peer.write(good)
            }
        }
        return (RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])])), upstream)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n" + String(repeating: "x: y\r\n", count: 200) + "\r\n",
        "HTTP/1.1 200 OK\r\nx: " + String(repeating: "y", count: 60_000) + "\r\n\r\n",
        "HTTP/1.1 200 " + String(repeating: "y", count: 60_000), String(repeating: "z", count: 60_000),
        "HTTP/1.1 200 OK\rX: y\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nx: a\rb: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\nset-cookie: b\r\n\r\n", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\nevil\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nevil",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        String(repeating: "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", count: 3000) + good,
    ])
    func nonsenseIsSaidToBeSo(_ answer: String) throws {
        let (gateway, upstream) = Self.gateway { $0.write(answer) }
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(Self.request), "\(answer.prefix(80).debugDescription)")
        #expect(reply.status == 502, "\(answer.prefix(80).debugDescription)")
        #expect(!reply.head.lowercased().contains("set-cookie") && !reply.text.contains("evil"))
        #expect(gateway.ask(Self.request)?.text == "good")
        #expect(upstream.connections == 2)
    }

    @Test func someInterimResponsesAreBorne() throws {
        let early = String(repeating: "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", count: 5)
        let (gateway, _) = Self.gateway { $0.write("HTTP/1.1 100 Continue\r\n\r\n" + early + Self.good) }
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(Self.request))
        #expect(reply.status == 200 && reply.text == "good" && reply.field("link") == nil)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine" + "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n"
            + "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmineX",
    ])
    func whatComesBehindAResponseIsNobodysAnswer(_ answer: String) throws {
        let (gateway, upstream) = Self.gateway { $0.write(answer) }
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.request)
        #expect(client.readMessage()?.text == "mine")
        client.write(Self.request)
        #expect(client.readMessage()?.text == "good")
        #expect(upstream.connections == 2)
    }

    @Test func whatComesOnAnIdleConnectionIsNobodysAnswer() throws {
        let isRead = DispatchSemaphore(value: 0)
        let isClosed = DispatchSemaphore(value: 0)
        let (gateway, upstream) = Self.gateway { peer in
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine")
            isRead.wait()
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            if peer.waitForEnd() { isClosed.signal() }
        }
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.request)
        #expect(client.readMessage()?.text == "mine")
        isRead.signal()
        // The server's connection is closed at the first byte that nobody asked for; then the next may come.
        #expect(isClosed.wait(timeout: .now() + 5) == .success)
        client.write(Self.request)
        #expect(client.readMessage()?.text == "good")
        #expect(upstream.connections == 2)
    }

    @Test func anEndlessExtensionCutsTheStreamAndTrailersAreNobodys() throws {
        let hasRead = DispatchSemaphore(value: 0)
        let (gateway, _) = Self.gateway { peer in
            peer.write(streamHead + chunk(tokenEvent("a")))
            hasRead.wait()
            peer.write("4;")
            while peer.write(String(repeating: "x", count: 10_000)) {}
        }
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post("/v1/chat/completions", #"{"model":"m","stream":true}"#))
        #expect(client.read(until: tokenEvent("a")) != nil)
        hasRead.signal()
        #expect(client.readAll().utf8.count < 5_000)
        #expect(gateway.ask(Self.request)?.text == "good")
        let (other, _) = Self.gateway { peer in
            peer.write(streamHead + chunk(tokenEvent("a")) + "0\r\nset-cookie: evil\r\nx: y\r\n\r\n")
        }
        defer { other.stop() }
        let reader = other.client()
        reader.write(post("/v1/chat/completions", #"{"model":"m","stream":true}"#) + get("/health"))
        #expect(reader.read(until: "\r\n0\r\n\r\n")?.contains("evil") == false)
        #expect(reader.readMessage()?.text == #"{"status":"ok"}"#)
    }
}
