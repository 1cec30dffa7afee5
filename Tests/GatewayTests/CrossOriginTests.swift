import Fleet
import Foundation
import Testing

@testable import Gateway

/// Pages of other origins, and how many clients there may be.
@Suite(.serialized) struct CrossOriginTests {
    private static let page = "Origin: https://chat.example\r\n"

    private static func upstream() -> UpstreamStub {
        UpstreamStub { peer, _ in
            while let request = peer.readMessage() {
                let body = request.head
                peer.write(
                    "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n"
                        + "content-length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    private static func preflight(_ origin: String, _ path: String = "/v1/chat/completions") -> String {
        get(
            path,
            "Origin: \(origin)\r\nAccess-Control-Request-Method: POST\r\n"
                + "Access-Control-Request-Headers: authorization,content-type\r\n", method: "OPTIONS", key: nil)
    }

    @Test(arguments: ["mk", nil] as [String?])
    func aConfiguredOriginMayAsk(key: String?) throws {
        let upstream = Self.upstream()
        let gateway = RunningGateway(
            fleet(
                key: key, settings: { $0.corsOrigins = ["https://chat.example", "http://localhost:3000"] },
                [("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.preflight("https://chat.example"))
        let head = try #require(client.read(until: "\r\n\r\n"))
        let answer = Message(head: head, body: [])
        #expect(answer.status == 204)
        #expect(answer.field("access-control-allow-origin") == "https://chat.example")
        #expect(answer.field("access-control-allow-headers") == "authorization,content-type")
        #expect(answer.field("access-control-allow-methods")?.contains("POST") == true)
        #expect(answer.field("vary")?.contains("Origin") == true)
        #expect(answer.field("content-length") == nil)
        // The connection goes on; answers name the origin once, the server's own words about it stop here.
        for _ in 0..<2 {
            client.write(post("/v1/completions", #"{"model":"m"}"#, Self.page, key: key))
            let reply = try #require(client.readMessage())
            #expect(reply.status == 200)
            #expect(reply.field("access-control-allow-origin") == "https://chat.example")
            #expect(reply.head.components(separatedBy: "access-control-allow-origin").count == 2)
            #expect(reply.field("access-control-allow-credentials") == nil)
            #expect(reply.field("access-control-expose-headers")?.contains("x-request-id") == true)
        }
        client.write(post("/v1/completions", "{", Self.page, key: key))
        #expect(client.readMessage()?.field("access-control-allow-origin") == "https://chat.example")
        // Who sends no origin is told nothing of it.
        client.write(post("/v1/completions", #"{"model":"m"}"#, key: key))
        #expect(try #require(client.readMessage()).field("vary") == nil)
    }

    @Test func anotherOriginMayNot() throws {
        let upstream = Self.upstream()
        let gateway = RunningGateway(
            fleet(
                settings: { $0.corsOrigins = ["https://chat.example"] },
                [("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        for origin in ["https://evil.example", "https://chat.example.evil", "null", "http://chat.example"] {
            client.write(Self.preflight(origin))
            let answer = Message(head: try #require(client.read(until: "\r\n\r\n")), body: [])
            #expect(answer.status == 204)
            #expect(answer.field("access-control-allow-origin") == nil)
            client.write(post("/v1/completions", #"{"model":"m"}"#, "Origin: \(origin)\r\n"))
            let reply = try #require(client.readMessage())
            #expect(reply.field("access-control-allow-origin") == nil)
            #expect(reply.field("vary") == "Origin")
        }
        // An OPTIONS that is no preflight is a request like any other.
        client.write(get("/v1/models", Self.page, method: "OPTIONS"))
        #expect(client.readMessage()?.status == 405)
    }

    @Test func anyOrigin() throws {
        let gateway = RunningGateway(fleet(settings: { $0.corsOrigins = ["*"] }, []))
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(get("/v1/models", "Origin: https://a.example\r\n", key: nil)))
        #expect(reply.status == 401)
        #expect(reply.field("access-control-allow-origin") == "*")
    }

    @Test func withoutConfigurationNothingIsSaid() throws {
        let gateway = RunningGateway(fleet([]))
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(Self.preflight("https://a.example")))
        #expect(reply.status == 401)
        #expect(reply.field("access-control-allow-origin") == nil)
    }

    @Test func moreClientsThanAllowedWaitForTheirTurn() throws {
        let gateway = RunningGateway(fleet(settings: { $0.connections = 3 }, []), loops: 2)
        defer { gateway.stop() }
        var clients = (0..<3).map { _ in gateway.client() }
        for client in clients {
            client.write(get("/health"))
            #expect(client.readMessage()?.status == 200)
        }
        let fourth = Peer.connect(gateway.port)
        fourth.write(get("/health"))
        Thread.sleep(forTimeInterval: 0.3)
        #expect(!fourth.hasBytes)
        clients.removeFirst().close()
        #expect(fourth.readMessage()?.status == 200)
    }
}
