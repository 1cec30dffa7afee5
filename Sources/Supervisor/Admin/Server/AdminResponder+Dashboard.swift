import Fleet
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// What the dashboard asks for beside the status.
extension AdminResponder {
    /// `GET /api/v1/timeline`, `?after=N` for what is behind an event.
    func timeline(_ request: Request) async throws -> Response {
        struct Body: Encodable {
            var events: [TimelineEvent]
        }
        let text = request.uri.queryParameters["after"] ?? "0"
        guard let number = UInt64(text) else { throw AdminError.badRequest("?after= is an event's number") }
        return AdminJSON.response(Body(events: await control.timeline(after: number)))
    }

    /// `POST /api/v1/try`: the body of a chat completion, which goes to the gateway unaltered; its answer comes back as it
    /// comes. An error of the gateway's is handed on with its status.
    func tryChat(_ request: Request) async throws -> Response {
        struct Chat: Decodable {
            struct Message: Decodable {}
            var model: String
            var messages: [Message]
        }
        guard request.headers[.contentType]?.hasPrefix("application/json") == true else {
            throw AdminError(
                status: .unsupportedMediaType, code: "unsupported_media_type",
                message: "the body is to be JSON, with 'Content-Type: application/json'")
        }
        let buffer = try await body(of: request)
        _ = try AdminJSON.decode(Chat.self, from: buffer)
        let answer: ChatAnswer
        do throws(ControlFailure) {
            answer = try await control.tryChat(Array(buffer.readableBytesView))
        } catch {
            throw AdminError.from(error, failed: .badGateway)
        }
        var headers: HTTPFields = [.contentType: answer.contentType ?? "application/octet-stream"]
        if let instance = answer.instance { headers[.init("X-Stoker-Instance")!] = instance }
        headers[.init("X-Accel-Buffering")!] = "no"
        let parts = answer.body
        return Response(
            status: .init(code: answer.status), headers: headers,
            body: ResponseBody { writer in
                // A person who closes the box ends the request in the engine as well: at the next token, which nobody
                // takes any more. Watching for the close instead, as the events do, wants a body that nobody has read.
                for try await part in parts { try await writer.write(ByteBuffer(bytes: part)) }
                try await writer.finish(nil)
            })
    }
}
