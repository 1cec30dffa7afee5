import Fleet
import Foundation
import Testing

@testable import Gateway

/// One line of JSON a request, and nothing secret in it.
@Suite(.serialized) struct AccessLogTests {
    private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    private static func lines(_ path: String, atLeast count: Int) -> [[String: Any]] {
        let deadline = Date(timeIntervalSinceNow: 5)
        while true {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            let lines = text.split(separator: "\n")
            if lines.count >= count || Date() > deadline {
                return lines.compactMap {
                    try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
                }
            }
            Thread.sleep(forTimeInterval: 0.05)
        }
    }

    @Test func aLineARequest() throws {
        let path = NSTemporaryDirectory() + "access\(UInt64.random(in: 0..<UInt64.max)).jsonl"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let upstream = UpstreamStub { peer, _ in
            while let request = peer.readMessage() {
                #expect(request.field("traceparent") == Self.trace || request.text.contains("plain"))
                peer.write(streamHead + chunk(roleEvent))
                Thread.sleep(forTimeInterval: 0.02)
                peer.write(
                    chunk(tokenEvent("a"))
                        + chunk("data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n"))
                peer.write(chunk("data: [DONE]\n\n") + "0\r\n\r\n")
            }
        }
        let gateway = RunningGateway(
            fleet(settings: { $0.accessLog = path }, [("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let body = #"{"model":"m","secret":"hush-hush"}"#
        let client = gateway.client()
        client.write(post("/v1/chat/completions", body, "traceparent: \(Self.trace)\r\nx-request-id: id-1\r\n"))
        #expect(client.readMessage()?.status == 200)
        client.write(get("/v1/models", "traceparent: \"};nonsense\r\n", key: "wrong-key"))
        #expect(client.readMessage()?.status == 401)
        client.write(post("/v1/completions", #"{"model":"unknown"}"#))
        #expect(client.readMessage()?.status == 404)
        let lines = Self.lines(path, atLeast: 3)
        #expect(lines.count == 3)
        let first = try #require(lines.first)
        #expect(first["request_id"] as? String == "id-1")
        #expect(first["traceparent"] as? String == Self.trace)
        #expect(first["provider"] as? String == "vllm")
        #expect(first["instance"] as? String == "vllm-0")
        #expect(first["route"] as? String == "/v1/chat/completions")
        #expect(first["status"] as? Int == 200)
        #expect(first["request_bytes"] as? Int == body.utf8.count)
        #expect((first["response_bytes"] as? Int ?? 0) > 200)
        #expect((first["duration_ms"] as? Double ?? 0) >= 20)
        #expect((first["first_byte_ms"] as? Double ?? -1) >= 0)
        #expect(first["prompt_tokens"] as? Int == 4)
        #expect((first["time"] as? String)?.hasSuffix("Z") == true)
        #expect(lines.map { $0["status"] as? Int } == [200, 401, 404])
        #expect(lines[1]["traceparent"] == nil)
        #expect(lines[1]["provider"] is NSNull)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for secret in ["mk", "wrong-key", "upstream-key", "hush", "nonsense"] { #expect(!text.contains(secret)) }
        // Moved away, it is opened anew.
        try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
        defer { try? FileManager.default.removeItem(atPath: path + ".1") }
        let deadline = Date(timeIntervalSinceNow: 10)
        while !FileManager.default.fileExists(atPath: path), Date() < deadline {
            client.write(get("/health"))
            #expect(client.readMessage()?.status == 200)
        }
        #expect(Self.lines(path, atLeast: 1).count >= 1)
    }

    @Test(arguments: [
        "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ])
    func otherTracesAreNotLogged(_ text: String) { #expect(!withView(text) { TraceParent($0) }.isPresent) }
}
