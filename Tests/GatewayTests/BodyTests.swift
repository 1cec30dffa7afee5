import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// Large bodies, and how many of them are kept.
@Suite(.serialized) struct BodyTests {
    private static func large(_ size: Int) -> String {
        #"{"messages":[{"content":""# + String(repeating: "0123456789abcdé ", count: size / 17) + #""}],"model":"a/m"}"#
    }

    @Test func megabytesPassUnchanged() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let body = Self.large(3 << 20)
        let client = gateway.client()
        Thread.detachNewThread { client.write(post("/v1/completions", body) + get("/health")) }
        let reply = try #require(client.readMessage())
        #expect(reply.status == 200)
        #expect(reply.text.hasSuffix("|" + body.replacing("\"a/m\"", with: "\"m\"")))
        #expect(client.readMessage()?.text == #"{"status":"ok"}"#)
    }

    @Test func readingPausesAboveTheMemoryAndGoesOn() throws {
        let upstream = UpstreamStub.echo()
        let snapshot = fleet(
            settings: { $0.bodyMemoryBytes = 1 << 20 }, [("a", [instance("a-0", upstream.port, ["m"])])])
        let gateway = RunningGateway(snapshot, loops: 2)
        defer { gateway.stop() }
        let body = Self.large(700_000)
        let clients = (0..<6).map { _ in gateway.client() }
        for client in clients { Thread.detachNewThread { client.write(post("/v1/completions", body)) } }
        for client in clients { #expect(client.readMessage()?.status == 200) }
    }

    /// Strangers send heads: the long ones have half of what bodies may have, whoever holds them.
    @Test func longHeadsHaveTheirPartOfTheMemory() throws {
        let gateway = RunningGateway(fleet(settings: { $0.bodyMemoryBytes = 1 << 20 }, []))
        defer { gateway.stop() }
        let part = "GET /v1/models HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "x", count: 40_000)
        let clients = (0..<30).map { _ in gateway.client() }
        for client in clients { client.write(part) }
        let deadline = Date(timeIntervalSinceNow: 10)
        while clients.filter(\.hasBytes).count < 15, Date() < deadline { Thread.sleep(forTimeInterval: 0.01) }
        #expect(gateway.ask(get("/health"))?.status == 200)
        var statuses: [Int: Int] = [:]
        for client in clients {
            client.write("\r\nx-api-key: mk\r\n\r\n")
            let reply = try #require(client.readMessage())
            statuses[reply.status, default: 0] += 1
            if reply.status == 431 { #expect(reply.field("connection") == "close") }
        }
        #expect(statuses[431] ?? 0 >= 15 && statuses[200] ?? 0 >= 5 && statuses.count == 2, "\(statuses)")
        // What they had is free again.
        for _ in 0..<30 { #expect(gateway.ask(part + "\r\nx-api-key: mk\r\n\r\n")?.status == 200) }
    }

    @Test func chunkedBodiesHaveTheSameLimit() throws {
        let gateway = RunningGateway(fleet(settings: { $0.bodyBytes = 10_000 }, []))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\ncontent-type: application/json\r\n"
                + "transfer-encoding: chunked\r\n\r\n" + chunk("{\"a\":\""))
        for _ in 0..<20 { client.write(chunk(String(repeating: "x", count: 1000))) }
        let reply = try #require(client.readMessage())
        #expect(reply.status == 413)
    }

    @Test func aRefusedBodyLosesNoResponse() throws {
        let gateway = RunningGateway(fleet([]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\ncontent-type: application/json\r\ncontent-length: 5000000\r\n\r\n"
        )
        client.write([UInt8](repeating: 0x61, count: 1_000_000))
        let reply = try #require(client.readMessage())
        #expect(reply.status == 401)
        #expect(reply.field("connection") == "close")
    }
}
