import CLinux
import Glibc

/// The client is gone, or we are told to behave as if it were.
struct ClientGone: Error {}

/// One client connection, used by one thread: reads requests, writes answers.
final class Client {
    let descriptor: Int32
    /// The faults of the request being answered.
    var control = Control()
    private(set) var bytesSent = 0
    private var input: [UInt8] = []
    private var request: HTTPRequest?
    private var headSent = false
    private var unsent: [UInt8] = []
    private var mustClose = false

    init(descriptor: Int32) { self.descriptor = descriptor }

    // MARK: Reading

    /// What reading the next request came to.
    enum Incoming {
        case request(HTTPRequest)
        case malformed
        case ended
    }

    /// Waits for a request; `idle` seconds at most for its first byte, nil for ever.
    func next(idle: Double?, bodyDelay: () -> Double) -> Incoming {
        headSent = false
        mustClose = false
        unsent = []
        let deadline = idle.map { monotonic() + $0 }
        var end: Int?
        while true {
            // uvicorn forgives blank lines before a request.
            while input.first == 0x0d || input.first == 0x0a { input.removeFirst() }
            end = endOfHead()
            if end != nil { break }
            if input.count > 1 << 20 { return .malformed }
            guard fill(until: input.isEmpty ? deadline : nil) else { return .ended }
        }
        guard var request = HTTPRequest(head: input[..<end!]) else { return .malformed }
        input.removeFirst(end! + 4)
        if request["expect"]?.lowercased() == "100-continue" {
            guard writeAll(descriptor, Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) else { return .ended }
        }
        let delay = bodyDelay()
        if request["transfer-encoding"]?.lowercased().contains("chunked") == true {
            request.chunked = true
            guard let body = chunkedBody(delay: delay) else { return .ended }
            request.body = body
        } else if let length = request["content-length"] {
            guard let count = Int(length), count >= 0 else { return .malformed }
            while input.count < count {
                pause(seconds: delay)
                guard fill(until: nil) else { return .ended }
            }
            request.body = Array(input[..<count])
            input.removeFirst(count)
        }
        self.request = request
        return .request(request)
    }

    private func endOfHead() -> Int? {
        guard input.count >= 4 else { return nil }
        return input.withUnsafeBytes { raw in
            guard let found = stoker_memmem(raw.baseAddress, raw.count, "\r\n\r\n", 4) else { return nil }
            return UnsafeRawPointer(found) - raw.baseAddress!
        }
    }

    private func chunkedBody(delay: Double) -> [UInt8]? {
        var body: [UInt8] = []
        while true {
            guard let line = line() else { return nil }
            let digits = line.prefix { $0 != ";" && $0 != " " }
            guard let count = Int(digits, radix: 16) else { return nil }
            if count == 0 {
                while let trailer = self.line() {
                    if trailer.isEmpty { return body }
                }
                return nil
            }
            while input.count < count + 2 {
                pause(seconds: delay)
                guard fill(until: nil) else { return nil }
            }
            body += input[..<count]
            input.removeFirst(count + 2)
        }
    }

    private func line() -> String? {
        while true {
            if let end = input.firstIndex(of: 0x0a) {
                let text = input[..<end]
                input.removeFirst(end + 1)
                return String(decoding: text.last == 0x0d ? text.dropLast() : text, as: UTF8.self)
            }
            guard fill(until: nil) else { return nil }
        }
    }

    private func fill(until deadline: Double?) -> Bool {
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let wait = deadline.map { Int32(max(0, ($0 - monotonic()) * 1000).rounded(.up)) } ?? -1
            let ready = poll(&entry, 1, wait)
            if ready == 0 { return false }
            if ready < 0 { continue }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                input += buffer[..<count]
                return true
            }
            if count == 0 || (errno != EAGAIN && errno != EINTR) { return false }
        }
    }

    /// Whether the client has closed its side; what it sent before is still there.
    var isGone: Bool {
        var entry = pollfd(fd: descriptor, events: peerClosed, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents != 0
    }

    // MARK: Writing

    /// Sends bytes as they are, in pieces where the control says so.
    func send(_ bytes: [UInt8]) throws(ClientGone) {
        guard let piece = control.int("write_bytes"), piece > 0 else {
            return try put(bytes[...])
        }
        let delay = control.milliseconds("write_delay_ms") ?? 0
        var at = 0
        while at < bytes.count {
            let end = min(at + piece, bytes.count)
            try put(bytes[at..<end])
            at = end
            pause(seconds: delay)
        }
    }

    private func put(_ bytes: ArraySlice<UInt8>) throws(ClientGone) {
        guard writeAll(descriptor, Array(bytes)) else { throw ClientGone() }
        bytesSent += bytes.count
    }

    /// A whole answer.
    func respond(
        _ status: Int, _ body: [UInt8] = [], type: String? = "application/json",
        headers more: [(String, String)] = [], vary: Bool = true
    ) throws(ClientGone) {
        var headers = more
        headers.append(("content-length", String(body.count)))
        if let type { headers.append(("content-type", type)) }
        if vary { headers.append(("vary", "Origin")) }
        try send(head(status, headers) + (request?.method == "HEAD" ? [] : body))
    }

    func respond(_ status: Int, _ body: JSON, vary: Bool = true) throws(ClientGone) {
        try respond(status, Array(body.text().utf8), vary: vary)
    }

    /// The head of a stream.
    func beginStream(type: String = "text/event-stream; charset=utf-8") throws(ClientGone) {
        var headers = [("content-type", type), ("vary", "Origin")]
        if request?.version == "1.0" {
            mustClose = true
        } else {
            headers.append(("transfer-encoding", "chunked"))
        }
        try send(head(200, headers))
    }

    /// A piece of a stream: one event, one chunk, unless the control cuts it otherwise.
    func event(_ text: String) throws(ClientGone) {
        let bytes = Array(text.utf8)
        guard request?.version != "1.0" else { return try send(bytes) }
        guard let size = control.int("chunk_bytes"), size > 0 else { return try send(chunk(bytes[...])) }
        unsent += bytes
        while unsent.count >= size {
            try send(chunk(unsent[..<size]))
            unsent.removeFirst(size)
        }
    }

    func endStream() throws(ClientGone) {
        guard request?.version != "1.0" else { return }
        var last: [UInt8] = unsent.isEmpty ? [] : chunk(unsent[...])
        unsent = []
        last += Array("0\r\n\r\n".utf8)
        try send(last)
    }

    /// What is held back of a stream that is about to be cut.
    func flushStream() throws(ClientGone) {
        guard !unsent.isEmpty else { return }
        try send(chunk(unsent[...]))
        unsent = []
    }

    private func chunk(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0d, 0x0a]
    }

    private func head(_ status: Int, _ headers: [(String, String)]) -> [UInt8] {
        headSent = true
        var text = "HTTP/1.1 \(status) \(Self.reasons[status] ?? "Unknown")\r\n"
        text += "date: \(Self.date())\r\nserver: uvicorn\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if !(request?.keepsAlive ?? false) || mustClose { text += "connection: close\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// Whether the next request may come on this connection.
    var keepsAlive: Bool { (request?.keepsAlive ?? false) && !mustClose }

    private static func date() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var buffer = [CChar](repeating: 0, count: 64)
        strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    static let reasons = [
        200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
        405: "Method Not Allowed", 413: "Request Entity Too Large", 422: "Unprocessable Entity",
        429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
        503: "Service Unavailable", 504: "Gateway Timeout",
    ]
}
