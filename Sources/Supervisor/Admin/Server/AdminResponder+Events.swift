import Fleet
import HTTPTypes
import Hummingbird
import NIOCore

extension AdminResponder {
    /// Between two events to one client, so that a storm of changes reaches it as its newest only: a tenth of a second,
    /// and longer for a report so large that half a mebibyte a second would go out else.
    static func calm(after bytes: Int) -> Duration { max(.milliseconds(100), .microseconds(bytes * 2)) }
    /// Without a change: what moves all the time (in flight, ages) is sent this often, and a dead client is noticed.
    private static var pulse: Duration { .seconds(2) }

    /// `GET /api/v1/events`: an event `status` with a revision for each change, the present one first.
    func events(_ request: Request) -> Response {
        let headers: HTTPFields = [.contentType: "text/event-stream", .init("X-Accel-Buffering")!: "no"]
        guard request.method != .head else { return Response(status: .ok, headers: headers) }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await writeEvents { try await writer.write(ByteBuffer(bytes: $0)) }
                }
                try await writer.finish(nil)
            })
    }

    /// Writes events until the client goes, the server stops or the daemon has nothing more to say.
    private func writeEvents(_ write: ([UInt8]) async throws -> Void) async throws {
        let control = control
        let (reports, source) = AsyncStream.makeStream(of: StatusReport.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await report in await control.statusChanges() { source.yield(report) }
                source.finish()
            }
            group.addTask {
                while !Task.isCancelled {
                    try await Task.sleep(for: Self.pulse)
                    source.yield(await control.status())
                }
            }
            defer { group.cancelAll() }
            try await write(Array("retry: 1000\n\n".utf8))
            for await report in reports {
                // JSON has no line break of its own: one `data:` line holds it.
                let event =
                    Array("event: status\nid: \(report.revision)\ndata: ".utf8) + AdminJSON.bytes(report)
                    + Array("\n\n".utf8)
                try await write(event)
                try await Task.sleep(for: Self.calm(after: event.count))
            }
        }
    }
}
