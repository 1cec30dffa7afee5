import Foundation
import Testing

@testable import Fleet

/// What is written by hand is what the coder of the other end reads.
@Suite struct ReportTextTests {
    private static let whole = GatewayReport(
        applied: SnapshotVersion(epoch: 3, revision: .max),
        loopHeartbeats: [Instant(nanoseconds: 1), Instant(nanoseconds: .max)],
        inflight: -2, requestsTotal: 12_345_678_901_234,
        runs: [
            RunReport(
                run: InstanceRun(instance: "chat-0", run: 7), inflight: 4, lastByte: Instant(nanoseconds: 99),
                failures: 2, lost: 1, lastFailure: "refused: \"quoted\" \\ line\n tab\t nul\u{0} — é 🎈"),
            RunReport(run: InstanceRun(instance: "chat-1", run: 1)),
        ],
        requests: [
            RequestCount(provider: "chat", route: "/v1/chat/completions", status: 200, count: 5),
            RequestCount(provider: "-", route: "/p/", status: 499, count: 1),
        ],
        counters: ["client_aborts:chat": 3, "queue_depth:chat": 0, "plain": .max],
        histograms: [
            HistogramReport(
                name: "request_duration_seconds", provider: "chat", route: "/v1/score", firstBound: 0.005,
                counts: [0, 1, 2], sum: 1.0 / 3),
            HistogramReport(name: "gateway_overhead_seconds", firstBound: 1e-06, counts: [], sum: 12_345_678.875),
        ],
        tokens: [TokenCount(provider: "chat", model: "org/m", kind: "prompt", count: 17)])

    private func decoded(_ report: GatewayReport) throws -> GatewayMessage? {
        var codec = FrameCodec()
        codec.append(try FrameCodec.encode(.report(report)))
        return try codec.next(GatewayMessage.self)
    }

    @Test func aReportReadsAsItself() throws {
        #expect(try decoded(Self.whole) == .report(Self.whole))
    }

    @Test func anEmptyReportReadsAsItself() throws {
        #expect(try decoded(GatewayReport()) == .report(GatewayReport()))
    }

    /// A new property that is not written would read as nil: the coder's own text tells.
    @Test func everyMemberIsWritten() throws {
        let own = try JSONSerialization.jsonObject(with: JSONEncoder().encode(GatewayMessage.report(Self.whole)))
        let written = try JSONSerialization.jsonObject(with: Data(ReportText(Self.whole).bytes))
        #expect(own as? NSDictionary == written as? NSDictionary)
    }
}
