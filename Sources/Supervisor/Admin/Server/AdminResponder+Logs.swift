import Fleet
import HTTPTypes
import Hummingbird
import NIOCore

extension AdminResponder {
    /// `GET /api/v1/instances/{id}/logs`: the whole of it, the last `?lines=`, or a `Range` of bytes; `?run=previous` for
    /// the run before. `ETag` names the file, so that `If-Range` tells a follower of the next run.
    func logs(of name: String, _ request: Request) async throws -> Response {
        let previous: Bool
        switch request.uri.queryParameters["run"] {
        case nil, "current": previous = false
        case "previous": previous = true
        default: throw AdminError.badRequest("?run= is 'current' or 'previous'")
        }
        let instance = try await loggingInstance(of: name)
        guard let path = try await control.logPath(of: instance, previous: previous), let log = InstanceLog(path: path)
        else {
            throw AdminError(
                status: .notFound, code: "no_log",
                message: previous
                    ? "\(instance) has no output of a previous run"
                    : "\(instance) has no output: it was not started yet")
        }
        var headers: HTTPFields = [
            .contentType: "text/plain; charset=utf-8", .acceptRanges: "bytes", .eTag: "\"\(log.tag)\"",
        ]
        var start = log.firstByte
        var end = log.size
        var status = HTTPResponse.Status.ok
        let isSame = request.headers[.ifRange].map { $0 == "\"\(log.tag)\"" } ?? true
        if let text = request.uri.queryParameters["lines"] {
            guard let lines = Int(text), lines >= 0 else { throw AdminError.badRequest("?lines= is a number") }
            start = log.start(ofLast: lines)
        } else if isSame {
            switch log.range(request.headers[.range]) {
            case .all: break
            case .unsatisfiable:
                throw AdminError(
                    status: .rangeNotSatisfiable, code: "range_not_satisfiable",
                    message: "the log is \(log.size) bytes long",
                    headers: [.contentRange: "bytes */\(log.size)", .eTag: "\"\(log.tag)\""])
            case .part(let first, let last):
                (start, end, status) = (first, last, .partialContent)
                headers[.contentRange] = "bytes \(first)-\(last - 1)/\(log.size)"
            }
        }
        headers[.init("X-Stoker-Log-Offset")!] = String(start)
        let first = start
        let last = end
        return Response(
            status: status, headers: headers,
            body: ResponseBody(contentLength: last - first) { writer in
                var offset = first
                while offset < last {
                    var chunk = log.read(at: offset, count: min(65_536, last - offset))
                    // A log that was cut off in the meantime: the length is promised, so the rest is made of newlines.
                    if chunk.isEmpty {
                        chunk = [UInt8](repeating: UInt8(ascii: "\n"), count: min(65_536, last - offset))
                    }
                    offset += chunk.count
                    try await writer.write(ByteBuffer(bytes: chunk))
                }
                try await writer.finish(nil)
            })
    }

    /// The instance whose output a name means: its own, or that of a provider's only one.
    private func loggingInstance(of name: String) async throws -> String {
        guard InstanceName.isValid(name) else { throw ControlFailure.noSuchInstance(name) }
        for provider in await control.status().providers {
            let names = provider.instances.map(\.id)
            guard names.contains(name) || provider.name == name else { continue }
            guard provider.kind == .launched else {
                throw ControlFailure.refused("\(name) is attached: its output is where it was started, not here")
            }
            if names.contains(name) { return name }
            guard let only = names.first else { continue }
            guard names.count == 1 else {
                throw ControlFailure.refused(
                    "\(name) has several instances, each with its own output: ask for one of "
                        + names.joined(separator: ", "))
            }
            return only
        }
        return name
    }
}
