import Fleet
import Foundation
import Testing

@testable import Gateway

/// What counts as a sign that an engine works: bytes that it has made, and none that the front end sends by itself.
@Suite struct LifeSignTests {
    @Test(arguments: [
        (": keep-alive\n\n", true), (":\n\n", true), ("data: {\"choices\":[]}\n\n", false),
        ("data: :\n\n", false),
    ])
    func knowsSilence(_ text: String, _ expected: Bool) {
        #expect(withView(text) { LifeSign.isSilence($0, isChunked: false) } == expected)
        #expect(withView(chunk(text)) { LifeSign.isSilence($0, isChunked: true) } == expected)
    }

    @Test func aBareEndIsSilence() {
        #expect(withView("0\r\n\r\n") { LifeSign.isSilence($0, isChunked: true) })
        #expect(!withView(chunk(tokenEvent("a")) + "0\r\n\r\n") { LifeSign.isSilence($0, isChunked: true) })
    }

    @Test func knowsThatAResponseHasOnlyBegun() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\n"
        let begun = "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":1}\n\n"
        let added = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\"}\n\n"
        for text in [created, begun, created + begun] { #expect(withView(text) { LifeSign.isOpening($0) }) }
        for text in [added, begun + added, ""] { #expect(!withView(text) { LifeSign.isOpening($0) }) }
    }

    private static let responsesBegun =
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\n"
        + "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":1}\n\n"
    private static let whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

    /// One answer of a server, and whether the gateway reports a byte of its engine for it.
    @Test(arguments: [
        ("/v1/chat/completions", [streamHead, chunk(": keep-alive\n\n"), chunk(": keep-alive\n\n")], false),
        ("/v1/chat/completions", [streamHead, chunk(": keep-alive\n\n"), chunk(tokenEvent("a"))], true),
        ("/v1/responses", [streamHead, chunk(responsesBegun)], false),
        (
            "/v1/responses",
            [
                streamHead, chunk(responsesBegun),
                chunk("event: response.output_text.delta\ndata: {\"delta\":\"a\",\"sequence_number\":2}\n\n"),
            ], true
        ),
        ("/v1/completions", [whole.replacingOccurrences(of: "200 OK", with: "400 Bad Request")], false),
        ("/v1/completions", [whole], true), ("/tokenize", [whole], false),
        ("/v1/messages/count_tokens", [whole], false),
        ("/p/a/tokenize", [whole], false), ("/p/a/v1/embeddings", [whole], true),
    ])
    func reportsBytesOfTheEngineOnly(_ path: String, _ pieces: [String], _ isLife: Bool) throws {
        let gate = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            for piece in pieces {
                peer.write(piece)
                Thread.sleep(forTimeInterval: 0.08)
            }
            if pieces[0] == streamHead { peer.write("0\r\n\r\n") }
            gate.wait()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer {
            gate.signal()
            gateway.stop()
        }
        let reply = try #require(gateway.ask(post(path, #"{"model":"m"}"#)))
        #expect(reply.status == 200 || reply.status == 400)
        let report = gateway.registry.wait {
            if case .report(let report) = $0, report.requestsTotal == 1, report.inflight == 0 { report } else { nil }
        }
        #expect((try #require(report?.runs.first).lastByte != nil) == isLife)
    }
}
