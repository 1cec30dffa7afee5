import CLinux
import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// Unix sockets on both sides, and slow ones by the hundred.
@Suite(.serialized) struct CrowdTests {
    /// A listening Unix socket.
    private static func listen(_ path: String, isBlocking: Bool) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | (isBlocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
        let descriptor = socket(AF_UNIX, kind, 0)
        let address = SocketAddress.bytes(of: .unix(path: path))
        let status = address.withUnsafeBytes {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        precondition(status == 0)
        Glibc.listen(descriptor, 64)
        return descriptor
    }

    private static func connect(_ path: String) -> Peer {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let address = SocketAddress.bytes(of: .unix(path: path))
        let status = address.withUnsafeBytes { stoker_connect(descriptor, $0.baseAddress, socklen_t($0.count)) }
        precondition(status == 0)
        return Peer(descriptor)
    }

    @Test func unixSocketsOnBothSides() throws {
        let mark = UInt64.random(in: 0..<UInt64.max)
        let paths = ["up", "in"].map { NSTemporaryDirectory() + "\($0)\(mark).sock" }
        defer { for path in paths { unlink(path) } }
        let server = Self.listen(paths[0], isBlocking: true)
        Thread.detachNewThread {
            while true {
                let accepted = accept(server, nil, nil)
                if accepted < 0 { return }
                Thread.detachNewThread {
                    let peer = Peer(accepted)
                    while let request = peer.readMessage() {
                        let body = request.field("host") ?? "-"
                        peer.write("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
                    }
                }
            }
        }
        defer { shutdown(server, Int32(SHUT_RDWR)) }
        // Without a key: a Unix socket asks neither for a Host of its own nor for an Origin.
        var snapshot = fleet(key: nil, [("a", [instance("a-0", 1, ["m"])])])
        snapshot.providers[0].instances[0].endpoint = Endpoint(address: .unix(path: paths[0]), host: "localhost")
        let gateway = RunningGateway(
            snapshot, listener: .init(descriptor: Self.listen(paths[1], isBlocking: false), name: "unix:\(paths[1])"))
        defer { gateway.stop() }
        let client = Self.connect(paths[1])
        for _ in 0..<3 {
            client.write(post("/v1/completions", #"{"model":"m"}"#, "Origin: https://elsewhere\r\n", key: nil))
            let reply = try #require(client.readMessage())
            #expect(reply.status == 200)
            #expect(reply.text == "localhost")
        }
    }

    @Test func slowHeadsAndBodiesHoldUpNobody() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let request = post("/v1/completions", #"{"model":"m"}"#)
        let slow = (0..<300).map { _ in gateway.client() }
        // Everybody's bytes come one by one, in turn; somebody else is served in between.
        for (step, byte) in request.utf8.enumerated() {
            for client in slow { client.write([byte]) }
            if step % 40 == 0 { #expect(try #require(gateway.ask(request)).status == 200) }
        }
        for client in slow { #expect(client.readMessage()?.status == 200) }
    }

    @Test func clientsThatLeaveAnywhereLeaveNothingBehind() throws {
        let upstream = UpstreamStub { peer, number in
            while peer.readMessage() != nil {
                peer.write(streamHead)
                if number % 3 > 0 { peer.write(chunk(roleEvent) + chunk(tokenEvent("a"))) }
                if number % 3 > 1 { peer.write("10\r\nhalf a ch") }
                _ = peer.waitForEnd()
                return
            }
        }
        let gateway = RunningGateway(
            fleet(
                settings: {
                    $0.streamsPerInstance = 150
                    $0.queueLength = 1000
                }, [("a", [instance("a-0", upstream.port, ["m"])])]), loops: 2)
        defer { gateway.stop() }
        let request = post("/v1/chat/completions", #"{"model":"m","stream":true}"#)
        for round in 0..<3 {
            let clients = (0..<200).map { _ in gateway.client() }
            for (index, client) in clients.enumerated() {
                let bytes = Array(request.utf8)
                client.write(Array(bytes.prefix(index % 4 == 0 ? (index + round) % bytes.count : bytes.count)))
            }
            Thread.sleep(forTimeInterval: 0.1)
            for (index, client) in clients.enumerated() { if index % 2 == 0 { client.reset() } else { client.close() } }
        }
        gateway.registry.forget()
        let empty = gateway.registry.wait(seconds: 10) {
            guard case .report(let report) = $0 else { return nil as Bool? }
            let isEmpty = report.inflight == 0 && report.counters["connections"] == 0
            return isEmpty && report.runs.allSatisfy { $0.inflight == 0 } && report.counters["queue_depth:a"] == 0
                ? true : nil
        }
        #expect(empty == true)
        // And the next one is served.
        let last = gateway.client()
        last.write(request)
        #expect(last.read(until: "\r\n\r\n")?.contains("200 OK") == true)
    }

    @Test func slowReadersByTheHundred() throws {
        let piece = chunk("data: " + String(repeating: "x", count: 60_000) + "\n\n")
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            while peer.write(piece) {}
        }
        let gateway = RunningGateway(
            fleet(
                settings: { $0.slowReaderTimeoutMilliseconds = 700 }, [("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let clients = (0..<100).map { _ in gateway.client(receiveBuffer: 4096) }
        for client in clients { client.write(post("/v1/chat/completions", #"{"model":"m"}"#)) }
        let cut = gateway.registry.wait(seconds: 15) {
            if case .report(let report) = $0, report.counters["slow_readers"] == 100 { true } else { nil }
        }
        #expect(cut == true)
        #expect(gateway.ask(get("/health"))?.status == 200)
        for client in clients { client.close() }
    }
}
