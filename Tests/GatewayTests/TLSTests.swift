import Fleet
import Foundation
import Testing

@testable import Gateway

/// TLS towards clients and towards servers.
@Suite(.serialized) struct TLSTests {
    private static func secured(
        _ certificates: Certificates, _ name: String, revision: UInt64 = 1,
        _ providers: [(
            name: String, instances: [(name: String, run: UInt64, port: UInt16, models: [String], published: Bool)]
        )]
    ) -> RegistrySnapshot {
        fleet(
            revision: revision,
            settings: {
                $0.tls = ListenerTLS(
                    certificateFile: certificates.path("\(name).pem"), keyFile: certificates.path("\(name).key"))
            }, providers)
    }

    private static func attached(
        _ port: UInt16, name: String, roots: String?, to snapshot: RegistrySnapshot
    ) -> RegistrySnapshot {
        var snapshot = snapshot
        for provider in snapshot.providers.indices {
            for instance in snapshot.providers[provider].instances.indices {
                snapshot.providers[provider].instances[instance].endpoint = Endpoint(
                    address: .tcp(ip: "127.0.0.1", port: port), host: name,
                    tls: Endpoint.TLS(serverName: name, caFile: roots))
            }
        }
        return snapshot
    }

    @Test func clientsSpeakTLS() throws {
        let certificates = Certificates()
        try certificates.make("one", subject: "gateway.test", names: "DNS:gateway.test,IP:127.0.0.1")
        let body = String(repeating: "long body ", count: 100_000)
        let upstream = UpstreamStub { peer, _ in
            while let request = peer.readMessage() {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count + request.body.count)\r\n\r\n")
                peer.write(body)
                peer.write(request.body)
            }
        }
        let gateway = RunningGateway(
            Self.secured(certificates, "one", [("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        for name in ["gateway.test", "127.0.0.1"] {
            let client = try #require(
                TLSPeer(gateway.port, name: name, roots: certificates.path("one.pem"), receiveBuffer: 8192))
            let prompt = String(repeating: "p", count: 300_000)
            for _ in 0..<3 {
                let request = #"{"model":"m","prompt":"\#(prompt)"}"#
                #expect(client.write(post("/v1/completions", request)))
                let reply = try #require(client.readMessage())
                #expect(reply.status == 200)
                #expect(reply.text == body + request)
            }
        }
        // Plain HTTP has no answer here, and neither has another name.
        let plain = gateway.client()
        plain.write(get("/health"))
        #expect(!plain.readAll().contains("HTTP/1.1"))
        let other = try #require(TLSPeer(gateway.port, name: "other.test", roots: certificates.path("one.pem")))
        #expect(!other.write(get("/health")))
        #expect(other.disbelief()?.lowercased().contains("hostname") == true)
    }

    @Test func aCertificateIsReadAgainWhenItChanges() throws {
        let certificates = Certificates()
        try certificates.make("one", subject: "a", names: "DNS:gateway.test")
        let first = certificates.path("first.pem")
        try FileManager.default.copyItem(atPath: certificates.path("one.pem"), toPath: first)
        let gateway = RunningGateway(Self.secured(certificates, "one", []))
        defer { gateway.stop() }
        func works(_ roots: String) -> Bool {
            let client = TLSPeer(gateway.port, name: "gateway.test", roots: roots)
            return client?.write(get("/health")) == true && client?.readMessage()?.status == 200
        }
        #expect(works(first))
        try certificates.make("one", subject: "b", names: "DNS:gateway.test")
        let deadline = Date(timeIntervalSinceNow: 5)
        while !works(certificates.path("one.pem")), Date() < deadline { Thread.sleep(forTimeInterval: 0.1) }
        #expect(works(certificates.path("one.pem")))
        #expect(!works(first))
        // One that cannot be read changes nothing.
        try "nonsense".write(toFile: certificates.path("one.key"), atomically: true, encoding: .utf8)
        try FileManager.default.copyItem(atPath: certificates.path("one.pem"), toPath: certificates.path("two.pem"))
        Thread.sleep(forTimeInterval: 1.3)
        #expect(works(certificates.path("two.pem")))
    }

    @Test func withoutACertificateNobodyIsServedPlainly() throws {
        let certificates = Certificates()
        let gateway = RunningGateway(Self.secured(certificates, "absent", []))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(get("/health"))
        #expect(client.readAll() == "")
    }

    @Test func serversSpeakTLS() throws {
        let certificates = Certificates()
        try certificates.make("up", subject: "up.test", names: "DNS:up.test,IP:127.0.0.1")
        let padding = String(repeating: "x", count: 200_000)
        let upstream = TLSUpstream(certificate: certificates.path("up.pem"), key: certificates.path("up.key")) {
            let body = "\($0.field("host") ?? "")|\($0.body.count)|\(padding)"
            return "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        }
        for name in ["up.test", "127.0.0.1"] {
            let plain = fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])])
            let gateway = RunningGateway(
                Self.attached(upstream.port, name: name, roots: certificates.path("up.pem"), to: plain))
            defer { gateway.stop() }
            let before = upstream.stub.connections
            let client = gateway.client()
            let prompt = String(repeating: "p", count: 400_000)
            for _ in 0..<4 {
                let request = #"{"model":"m","prompt":"\#(prompt)"}"#
                client.write(post("/v1/completions", request))
                let reply = try #require(client.readMessage())
                #expect(reply.status == 200)
                #expect(reply.text == "\(name)|\(request.utf8.count)|\(padding)")
                // A ticket that comes while the connection idles does not end it.
                Thread.sleep(forTimeInterval: 0.05)
            }
            #expect(upstream.stub.connections == before + 1)
        }
    }

    @Test func aServerThatCannotBeBelievedIsNotAsked() throws {
        let certificates = Certificates()
        try certificates.make("up", subject: "up.test", names: "DNS:up.test")
        try certificates.make("other", subject: "up.test", names: "DNS:up.test")
        let asked = LockedCount()
        let upstream = TLSUpstream(certificate: certificates.path("up.pem"), key: certificates.path("up.key")) { _ in
            asked.add(1)
            return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"
        }
        let plainServer = UpstreamStub { peer, _ in
            peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let cases: [(port: UInt16, name: String, roots: String?)] = [
            (upstream.port, "wrong.test", certificates.path("up.pem")),
            (upstream.port, "up.test", certificates.path("other.pem")), (upstream.port, "up.test", nil),
            (upstream.port, "up.test", "/nowhere.pem"), (plainServer.port, "up.test", certificates.path("up.pem")),
        ]
        for (port, name, roots) in cases {
            let gateway = RunningGateway(
                Self.attached(
                    port, name: name, roots: roots, to: fleet([("vllm", [instance("vllm-0", port, ["m"])])])))
            defer { gateway.stop() }
            let reply = try #require(gateway.ask(post("/v1/completions", #"{"model":"m"}"#)))
            #expect([502, 503].contains(reply.status), "\(name) \(roots ?? "-")")
        }
        #expect(asked.value == 0)
    }

    @Test func aStreamBothWaysOverTLS() throws {
        let certificates = Certificates()
        try certificates.make("up", subject: "up.test", names: "DNS:up.test")
        let coded = chunk(roleEvent) + chunk(tokenEvent("a")) + chunk("data: [DONE]\n\n") + "0\r\n\r\n"
        let upstream = TLSUpstream(certificate: certificates.path("up.pem"), key: certificates.path("up.key")) { _ in
            streamHead + coded
        }
        let gateway = RunningGateway(
            Self.attached(
                upstream.port, name: "up.test", roots: certificates.path("up.pem"),
                to: Self.secured(certificates, "up", [("vllm", [instance("vllm-0", upstream.port, ["m"])])])))
        defer { gateway.stop() }
        let client = try #require(TLSPeer(gateway.port, name: "up.test", roots: certificates.path("up.pem")))
        for _ in 0..<3 {
            client.write(post("/v1/chat/completions", #"{"model":"m","stream":true}"#))
            #expect(client.readMessage()?.status == 200)
            #expect(String(decoding: client.read(count: coded.utf8.count), as: UTF8.self) == coded)
        }
    }
}
