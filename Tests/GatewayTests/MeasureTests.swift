import Fleet
import Foundation
import Testing

@testable import Gateway

/// Durations, tokens and counts, and that nothing a client invents becomes a series.
@Suite(.serialized) struct MeasureTests {
    @Test func bucketsAreWhatTheirBoundsSay() throws {
        let base: UInt64 = 1000
        let bounds = HistogramReport(name: "x", firstBound: 1, counts: [], sum: 0).bounds
        #expect(Array(bounds.prefix(7)) == [1, 1.5, 2, 3, 4, 6, 8])
        for nanoseconds: UInt64 in [0, 1, 999, 1000, 1001, 1500, 1501, 2000, 2001, 3000, 3001, 4001, 49_152_000] {
            let expected = bounds.firstIndex { Double(nanoseconds) <= $0 * 1000 } ?? bounds.count
            #expect(Histogram.bucket(nanoseconds, half: base / 2) == expected, "\(nanoseconds)")
        }
        for power in 0..<63 {
            let whole: UInt64 = 1 << UInt64(power)
            for nanoseconds: UInt64 in [whole, whole + 1, whole + whole / 2] {
                let expected = bounds.firstIndex { Double(nanoseconds) <= $0 * 1000 } ?? bounds.count
                #expect(Histogram.bucket(nanoseconds, half: base / 2) == expected, "\(nanoseconds)")
            }
        }
        let histogram = Histogram(base: base)
        let none = histogram.report("x")
        #expect(none == nil)
        for nanoseconds: UInt64 in [1000, 1200, 1_000_000_000_000] { histogram.record(nanoseconds) }
        let found = histogram.report("x", provider: "p")
        let report = try #require(found)
        #expect(report.counts.count == 33)
        #expect(report.counts[0] == 1 && report.counts[1] == 1 && report.counts[32] == 1)
        #expect(abs(report.sum - 1000.0000022) < 1e-6)
        #expect(report.firstBound == 1e-6)
        var sum = HistogramReport(name: "x", firstBound: 1e-6, counts: [4], sum: 1)
        sum.add(report)
        #expect(sum.counts[0] == 5 && sum.counts[32] == 1)
    }

    @Test(
        arguments: [
            (#"{"choices":[],"usage":{"prompt_tokens":5,"total_tokens":7,"completion_tokens":2}}"#, 5, 2),
            (#"data: {"type":"message_start","message":{"usage":{"input_tokens": 9,"output_tokens":1}}}"#, 9, 1),
            (#"{"usage": {"prompt_tokens":8,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":4}}}"#, 8, nil),
            (#"{"usage":{"completion_tokens":3,"x":1},"content":"\"usage\":{\"prompt_tokens\":1}"}"#, nil, 3),
            (#"{"usage":null,"x":1}"#, nil, nil), (#"{"usage":{}}"#, nil, nil), ("", nil, nil),
            (#"{"usage":{"prompt_tokens":12"#, nil, nil),
            (#"{"usage":{"prompt_tokens":99999999999999999999,"#, nil, nil),
        ] as [(String, Int?, Int?)])
    func readsUsage(_ text: String, _ prompt: Int?, _ completion: Int?) {
        let usage = withView(text) { Usage.find($0) }
        #expect(usage?.prompt == prompt)
        #expect(usage?.completion == completion)
    }

    @Test func knowsAPieceOfTextWithoutLooking() {
        for text in [tokenEvent("x"), roleEvent] {
            #expect(!withView(chunk(text)) { Usage.mayTell($0) })
            #expect(!withView(text) { Usage.mayTell($0) })
        }
        let telling = [
            "data: [DONE]\n\n", "data: {\"usage\":{\"prompt_tokens\":1}}\n\n",
            "data: {\"usage\":{\"prompt_tokens\":1},\"system_fingerprint\":\"x\"}\n\n",
            "data: {\"usage\":{\"prompt_tokens\":1},\"choices\":[]}\n\n",
        ]
        for text in telling {
            #expect(withView(chunk(text)) { Usage.mayTell($0) })
            #expect(withView(text) { Usage.mayTell($0) })
        }
    }

    /// The first report that satisfies.
    private static func report(
        _ gateway: RunningGateway, _ condition: (GatewayReport) -> Bool
    ) throws -> GatewayReport {
        try #require(
            gateway.registry.wait { if case .report(let report) = $0, condition(report) { report } else { nil } })
    }

    @Test func measuresAStreamAndCountsItsTokens() throws {
        let usage =
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":8,\"completion_tokens\":3}}\n\n"
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write(streamHead + chunk(roleEvent))
                for _ in 0..<3 {
                    Thread.sleep(forTimeInterval: 0.03)
                    peer.write(chunk(tokenEvent("a")))
                }
                Thread.sleep(forTimeInterval: 0.03)
                peer.write(chunk(usage))
                Thread.sleep(forTimeInterval: 0.03)
                peer.write(chunk("data: [DONE]\n\n") + "0\r\n\r\n")
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["org/m"])])]))
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(post("/v1/chat/completions", #"{"model":"vllm/org/m"}"#)))
        #expect(reply.text.contains(usage))
        let report = try Self.report(gateway) { !($0.tokens ?? []).isEmpty }
        #expect(
            report.tokens?.sorted { $0.kind < $1.kind } == [
                TokenCount(provider: "vllm", model: "org/m", kind: "completion", count: 3),
                TokenCount(provider: "vllm", model: "org/m", kind: "prompt", count: 5),
            ])
        func histogram(_ name: String) -> HistogramReport? { report.histograms?.first { $0.name == name } }
        let chunks = try #require(histogram("inter_chunk_seconds"))
        #expect(chunks.provider == "vllm")
        #expect(chunks.counts.reduce(0, +) >= 4)
        #expect(chunks.sum > 0.1)
        let first = try #require(histogram("time_to_first_byte_seconds"))
        #expect(first.route == "/v1/chat/completions" && first.counts.reduce(0, +) == 1 && first.sum > 0.02)
        #expect(try #require(histogram("request_duration_seconds")).sum > 0.12)
    }

    @Test(arguments: [
        (
            "/v1/completions", "content-type: application/json\r\n",
            [#"{"object":"x","usage":{"prompt_tok"#, #"ens":4,"completion_tokens":6},"kv":null}"#], 0.01, 4, 6
        ),
        (
            "/v1/messages", "content-type: text/event-stream\r\n",
            [
                "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":0}}}\n\n",
                "event: message_delta\ndata: {\"usage\":{\"output_tokens\":7}}\n\n",
            ], 0.1, 11, 7
        ),
        (
            "/v1/messages", "content-type: text/event-stream\r\n",
            [
                "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":0}}}\n\n",
                "event: content_block_delta\ndata: {\"delta\":{\"text\":\"a\"}}\n\n",
                "event: message_delta\ndata: {\"usage\":{\"output_tokens\":8}}\n\n"
                    + "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            ], 0.1, 11, 8
        ),
        // As vLLM 0.32 sends it where `[DONE]` comes in another read.
        (
            "/v1/chat/completions", "content-type: text/event-stream\r\n",
            [
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"token_ids\":null}]}\n\n",
                "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"token_ids\":null}]}\n\n",
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":13,\"completion_tokens\":6},"
                    + "\"system_fingerprint\":\"vllm-0.32.0-8a20df16\"}\n\n",
                "data: [DONE]\n\n",
            ], 0.1, 7, 6
        ),
    ])
    func countsTokensOf(
        _ path: String, _ fields: String, _ pieces: [String], _ pause: Double, _ prompt: UInt64, _ completion: UInt64
    ) throws {
        let body = pieces.joined()
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 200 OK\r\n\(fields)content-length: \(body.utf8.count)\r\n\r\n")
                for piece in pieces {
                    peer.write(piece)
                    Thread.sleep(forTimeInterval: pause)
                }
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        #expect(try #require(gateway.ask(post(path, #"{"model":"m"}"#))).text == body)
        let report = try Self.report(gateway) { !($0.tokens ?? []).isEmpty }
        let tokens = try #require(report.tokens)
        #expect(tokens.first { $0.kind == "prompt" }?.count == prompt)
        #expect(tokens.first { $0.kind == "completion" }?.count == completion)
    }

    /// However two reads cut an answer, its tokens are counted.
    @Test(arguments: ["chat", "cut events", "whole", "responses", "messages"])
    func countsTokensWhereverReadsEnd(_ shape: String) throws {
        let numbers = #""usage":{"prompt_tokens":5,"total_tokens":8,"completion_tokens":3}"#
        let words = (0..<9).map { _ in "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" }
        let events = [roleEvent] + words + ["data: {\"choices\":[],\(numbers)}\n\n", "data: [DONE]\n\n"]
        var path = "/v1/chat/completions"
        var body = ""
        switch shape {
        case "chat": body = streamHead + events.map(chunk).joined() + "0\r\n\r\n"
        case "cut events":
            let text = Array(events.joined())
            let pieces = stride(from: 0, to: text.count, by: 33).map { String(text[$0..<min(text.count, $0 + 33)]) }
            body = streamHead + pieces.map(chunk).joined() + "0\r\n\r\n"
        case "whole":
            let behind = [String](repeating: #"{"7":{"logprob":-1.5}}"#, count: 100).joined(separator: ",")
            let text = "{\"x\":\"\(String(repeating: "y", count: 200))\",\(numbers),\"prompt_logprobs\":[\(behind)]}"
            body =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \(text.utf8.count)\r\n\r\n\(text)"
        case "responses":
            path = "/v1/responses"
            let inner = numbers.replacingOccurrences(of: "prompt_tokens", with: "input_tokens")
                .replacingOccurrences(of: "completion_tokens", with: "output_tokens")
            let all = [
                "event: response.created\ndata: {\"response\":{\"usage\":null},\"sequence_number\":0}\n\n",
                "event: response.output_text.delta\ndata: {\"delta\":\"a\",\"sequence_number\":1}\n\n",
                "event: response.completed\ndata: {\"response\":{\(inner),\"user\":null},\"sequence_number\":2}\n\n",
            ]
            body = streamHead + all.map(chunk).joined() + "0\r\n\r\n"
        default:
            path = "/v1/messages"
            let all = [
                "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":0}}}\n\n",
                "event: content_block_delta\ndata: {\"delta\":{\"text\":\"a\"}}\n\n",
                "event: message_delta\ndata: {\"usage\":{\"output_tokens\":3},\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            ]
            body = streamHead + all.map(chunk).joined() + "0\r\n\r\n"
        }
        let bytes = Array(body.utf8)
        let start = try #require(body.range(of: "\r\n\r\n")).upperBound.utf16Offset(in: body)
        let cuts = Array(stride(from: start, to: bytes.count, by: bytes.count > 2000 ? 11 : 3))
        let next = LockedCount()
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                let cut = cuts[next.value % cuts.count]
                next.add(1)
                peer.write(Array(bytes[..<cut]))
                Thread.sleep(forTimeInterval: 0.003)
                peer.write(Array(bytes[cut...]))
            }
        }
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        for _ in cuts {
            client.write(post(path, #"{"model":"m"}"#))
            #expect(client.readMessage()?.status == 200)
        }
        let report = try Self.report(gateway) { $0.requestsTotal >= UInt64(cuts.count) }
        let tokens = try #require(report.tokens)
        #expect(tokens.first { $0.kind == "prompt" }?.count == UInt64(5 * cuts.count))
        #expect(tokens.first { $0.kind == "completion" }?.count == UInt64(3 * cuts.count))
    }

    @Test func countsRetriesByReason() throws {
        let (refusing, port) = listenOnLoopback(isBlocking: true)
        close(refusing)
        let good = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]))
        defer { gateway.stop() }
        for _ in 0..<20 { _ = gateway.ask(post("/v1/completions", #"{"model":"m"}"#)) }
        let report = try Self.report(gateway) { ($0.counters["retries:refused"] ?? 0) > 0 }
        #expect(report.counters["retries:lost"] == nil)
        // One of 16 requests is measured closely.
        _ = try Self.report(gateway) { $0.histograms?.contains { $0.name == "gateway_overhead_seconds" } == true }
    }

    @Test func waitingShowsAsDepth() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(
            fleet(
                settings: {
                    $0.streamsPerInstance = 1
                    $0.queueLength = 5
                }, [("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let clients = (0..<3).map { _ in gateway.client() }
        for client in clients { client.write(post("/v1/completions", #"{"model":"m"}"#)) }
        _ = try Self.report(gateway) { $0.counters["queue_depth:vllm"] == 2 }
        for client in clients { client.close() }
        gateway.registry.forget()
        _ = try Self.report(gateway) { $0.counters["queue_depth:vllm"] == 0 }
    }

    @Test func whatClientsInventMakesNoSeries() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("vllm", [instance("vllm-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        let rounds = 200
        for round in 0..<rounds {
            var requests = ""
            for number in 0..<50 {
                let name = "invented-\(round)-\(number)"
                requests += post("/v1/completions", #"{"model":"\#(name)"}"#, "User-Agent: \(name)\r\n")
                requests += get("/p/\(name)/models") + get("/\(name)", method: "M\(number)")
            }
            client.write(requests)
            for _ in 0..<150 { #expect([404, 405].contains(client.readMessage()?.status)) }
        }
        let report = try Self.report(gateway) { $0.requestsTotal >= UInt64(rounds) * 150 }
        #expect(report.requests.count <= 4)
        #expect(Set(report.requests.map(\.provider)) == ["-"])
        #expect((report.histograms ?? []).count < 10)
        #expect(report.counters.count < 10)
        #expect(report.tokens == [])
    }
}
