import Glibc

extension EventLoop {
    /// Answers with an error of the gateway's own.
    func refuse(
        _ client: ClientPointer, _ code: ErrorCode, _ message: StaticString? = nil, allow: StaticString? = nil
    ) {
        refuse(client, code, text: ByteView(message ?? code.message).array, allow: allow)
    }

    /// Answers with an error of the gateway's own, in words made for it.
    func refuse(
        _ client: ClientPointer, _ code: ErrorCode, text: [UInt8], allow: StaticString? = nil,
        param: StaticString? = nil, retryAfter: Int = 1
    ) {
        var lines: [UInt8] = []
        if let allow { lines += Array("allow: ".utf8) + ByteView(allow).array + [0x0d, 0x0a] }
        if code.hasRetryAfter { lines += Array("retry-after: \(max(1, retryAfter))\r\n".utf8) }
        if code == .invalidAPIKey { lines += Array("www-authenticate: Bearer\r\n".utf8) }
        // The rest of a body that will not be read would be taken for the next request.
        let head = client.pointee.head
        if head.length == 0 || !isBodyHere(client) {
            client.pointee.closes = true
            client.pointee.requestLength = .max
        }
        respond(
            client, code.status, ErrorEnvelope.body(code, text, dialect: client.pointee.dialect, param: param), lines)
    }

    /// Whether the request's bytes are all here, so that the next request's beginning is known.
    private func isBodyHere(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        if client.pointee.requestLength == .max { return false }
        if head.isChunked { return client.pointee.phase != .head && client.pointee.framing.isEnded }
        client.pointee.requestLength = head.length + max(0, head.contentLength)
        return client.pointee.requestLength <= client.pointee.inbound.count
    }

    /// Answers with a whole response of the gateway's own.
    func respond(_ client: ClientPointer, _ status: Int, _ body: [UInt8], _ lines: [UInt8] = []) {
        if client.pointee.head.length > 0, client.pointee.route.body == .none, client.pointee.requestLength != .max,
            !isBodyHere(client)
        {
            client.pointee.closes = true
            client.pointee.requestLength = .max
        }
        client.pointee.status = status
        client.pointee.loggedBody = client.pointee.bodyLength
        client.pointee.responseBytes = client.pointee.head.method == .head ? 0 : body.count
        let lines = client.pointee.grant == 0 ? lines : lines + crossOriginLines(client)
        var out = pool.take(512 + lines.count + body.count)
        out.append(ByteView("HTTP/1.1 "))
        append(status, to: &out)
        out.append(ByteView(Self.reason(status)))
        out.append(ByteView("\r\ncontent-type: application/json\r\ncontent-length: "))
        append(body.count, to: &out)
        out.append(ByteView("\r\n"))
        lines.withUnsafeBufferPointer { if let base = $0.baseAddress { out.append(ByteView(base, $0.count)) } }
        // An error about an instance names it.
        appendIDs(client, client.pointee.loggedRun?.pointee.label, to: &out)
        out.append(ByteView("\r\n"))
        if client.pointee.head.method != .head {
            body.withUnsafeBufferPointer { if let base = $0.baseAddress { out.append(ByteView(base, $0.count)) } }
        }
        let isAlive = send(client, out.view)
        pool.give(&out)
        if isAlive { concludeResponse(client) }
    }

    /// Answers 204 with these lines.
    func respondEmpty(_ client: ClientPointer, _ lines: [UInt8]) {
        if !isBodyHere(client) {
            client.pointee.closes = true
            client.pointee.requestLength = .max
        }
        client.pointee.status = 204
        var out = pool.take(512 + lines.count)
        out.append(ByteView("HTTP/1.1 204 No Content\r\n"))
        lines.withUnsafeBufferPointer { if let base = $0.baseAddress { out.append(ByteView(base, $0.count)) } }
        appendIDs(client, nil, to: &out)
        out.append(ByteView("\r\n"))
        let isAlive = send(client, out.view)
        pool.give(&out)
        if isAlive { concludeResponse(client) }
    }

    /// `x-request-id`, `x-stoker-instance` and, at a connection's last response, `connection: close`.
    @inline(__always) func appendIDs(_ client: ClientPointer, _ instance: ByteView?, to out: inout Buffer) {
        var buffer = out
        buffer.append(ByteView("x-request-id: "))
        client.pointee.requestID.withBytes { buffer.append($0) }
        buffer.append(ByteView("\r\n"))
        if let instance {
            buffer.append(ByteView("x-stoker-instance: "))
            buffer.append(instance)
            buffer.append(ByteView("\r\n"))
        }
        if client.pointee.closes { buffer.append(ByteView("connection: close\r\n")) }
        out = buffer
    }

    /// Appends a number in decimal.
    @inline(__always) func append(_ number: Int, to out: inout Buffer) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            var at = 24
            var rest = UInt(number)
            repeat {
                at &-= 1
                bytes[at] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
                rest /= 10
            } while rest > 0
            out.append(ByteView(UnsafePointer(bytes.baseAddress!) + at, 24 &- at))
        }
    }

    /// A status's phrase, a space in front.
    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 200: return " OK"
        case 400: return " Bad Request"
        case 401: return " Unauthorized"
        case 403: return " Forbidden"
        case 404: return " Not Found"
        case 405: return " Method Not Allowed"
        case 408: return " Request Timeout"
        case 411: return " Length Required"
        case 413: return " Content Too Large"
        case 415: return " Unsupported Media Type"
        case 417: return " Expectation Failed"
        case 429: return " Too Many Requests"
        case 431: return " Request Header Fields Too Large"
        case 500: return " Internal Server Error"
        case 501: return " Not Implemented"
        case 502: return " Bad Gateway"
        case 503: return " Service Unavailable"
        case 504: return " Gateway Timeout"
        case 505: return " HTTP Version Not Supported"
        default: return " Error"
        }
    }

    /// Answers for a model that nobody serves now: 503 when it is known, 404 when it is not.
    func refuseMissing(_ client: ClientPointer, _ selector: String) {
        let shown = selector.count > 200 ? String(selector.prefix(200)) + "…" : selector
        switch MissingModel.judge(selector, table.snapshot) {
        case .unknown:
            let text = "The model `\(shown)` does not exist here. GET /v1/models lists what is served."
            refuse(client, .modelNotFound, text: Array(text.utf8), param: "model")
        case .unavailable(let index): refuseUnavailable(client, provider: index, "The model `\(shown)`")
        }
    }

    /// Answers 503 for a provider with nothing published, with its reason.
    func refuseUnavailable(_ client: ClientPointer, provider index: Int, _ subject: String) {
        let provider = table.snapshot.providers[index]
        client.pointee.providerNumber = table.providerNumbers[index]
        let reason = provider.reason.isEmpty ? (provider.loading ? "loading" : "no instance is ready") : provider.reason
        let retry = max(1, provider.retryAfterSeconds)
        let text = "\(subject) is not available now (\(reason)). Try again in \(retry) s."
        refuse(
            client, provider.loading ? .modelLoading : .modelUnavailable, text: Array(text.utf8), param: "model",
            retryAfter: retry)
    }
}
