import CLinux
import Glibc

extension EventLoop {
    /// Reads the head at the beginning of what came; false when more bytes are needed.
    func readHead(_ client: ClientPointer) -> Bool {
        // RFC 9112 §2.2: an empty line before a request is a leftover of an older client's body.
        if !client.pointee.hasSkippedLine, client.pointee.inbound.count >= 2,
            client.pointee.inbound.view.hasPrefix("\r\n")
        {
            client.pointee.inbound.drop(2)
            client.pointee.hasSkippedLine = true
            if client.pointee.inbound.isEmpty { return false }
        }
        headerOwner = 0
        switch RequestHeadParser.parse(client.pointee.inbound.view, into: headers, limit: limits.headerBytes) {
        case .incomplete: return false
        case .bad(let failure):
            let code: ErrorCode =
                switch failure {
                case .tooLarge: .headTooLarge
                case .version: .versionNotSupported
                default: .invalidRequest
                }
            refuseHead(client, code, failure.message)
        case .complete(let head):
            client.pointee.head = head
            client.pointee.hasSkippedLine = false
            headerOwner = client.pointee.handle.raw
            headerBase = client.pointee.inbound.view.base
            setActive(client, true)
            beginMeasuring(client)
            if logsAccess { noteHead(client) }
            begin(client)
        }
        return true
    }

    /// Makes sure that the process may keep a head longer than most: strangers send heads, so these have half of the
    /// bodies' memory at most.
    func reserveHead(_ client: ClientPointer) -> Bool {
        let inbound = client.pointee.inbound
        let more = max(inbound.count * 2, BufferPool.sizes.large) - client.pointee.reserved
        guard more > 0, inbound.capacity - inbound.count < 4096 else { return true }
        let total = shared.bodyMemory.wrappingAdd(more, ordering: .relaxed).newValue
        if limits.bodyMemoryBytes > 0, total > limits.bodyMemoryBytes / 2, total > more {
            _ = shared.bodyMemory.wrappingSubtract(more, ordering: .relaxed)
            return false
        }
        client.pointee.reserved += more
        return true
    }

    /// Answers what is no request, and ends the connection: nobody knows where the next one would begin.
    func refuseHead(_ client: ClientPointer, _ code: ErrorCode, _ message: StaticString) {
        setActive(client, true)
        beginMeasuring(client)
        client.pointee.head = RequestHead()
        client.pointee.route = .unknown
        client.pointee.dialect = .openAI
        client.pointee.requestID = RequestID(&random)
        refuse(client, code, message)
    }

    /// A whole head is here: who asks, for what, and may they.
    private func begin(_ client: ClientPointer) {
        let head = client.pointee.head
        let view = client.pointee.inbound.view
        client.pointee.requestLength = head.length
        client.pointee.bodyStart = head.length
        client.pointee.closes = head.closes || retireBy != nil
        let path = view.slice(head.pathStart, head.pathStart + head.pathLength)
        let route = Route.of(path)
        client.pointee.route = route
        client.pointee.dialect = route == .unknown ? Route.dialect(ofUnknown: path) : route.dialect
        if head.requestID >= 0 {
            client.pointee.requestID = RequestID(headers.value(head.requestID, in: view)) ?? RequestID(&random)
        } else {
            client.pointee.requestID = RequestID(&random)
        }
        if table.hasCrossOrigin, answerCrossOrigin(client) { return }
        if !route.isOpen {
            if let key = table.masterKey {
                guard isAuthentic(head, view, key) else { return refuse(client, .invalidAPIKey) }
            } else if let code = Openness.refusal(head, view, headers, listeners, isUnix: client.pointee.isUnix),
                code != .foreignOrigin || !isGranted(client)
            {
                return refuse(client, code)
            }
        }
        guard route != .unknown else {
            return refuse(client, .unknownRoute)
        }
        guard route != .realtime else { return refuse(client, .notImplemented) }
        guard route.takes(head.method) else {
            return refuse(client, .methodNotAllowed, allow: route.allow)
        }
        if head.expectsUnknown { return refuse(client, .expectationFailed) }
        if head.isEncoded { return refuse(client, .unsupportedMediaType) }
        switch route.body {
        case .none: answerHere(client)
        case .json:
            guard ContentKind.of(head, view, headers) == .json else { return refuse(client, .unsupportedMediaType) }
            client.pointee.scansBody = true
            beginBody(client)
        case .multipart:
            guard ContentKind.of(head, view, headers) == .multipart else {
                return refuse(client, .unsupportedMediaType, "Send the body as Content-Type: multipart/form-data.")
            }
            beginBody(client)
        case .any: beginPassthrough(client)
        }
    }

    /// Whether the request's origin is one of those that are configured.
    private func isGranted(_ client: ClientPointer) -> Bool {
        client.pointee.grant != 0 && grants[Int(client.pointee.grant) - 1] != .none
    }

    /// Whether the right key was shown. `Authorization` decides where both headers are there; the time taken depends
    /// on nothing but the length of what was sent.
    private func isAuthentic(_ head: RequestHead, _ view: ByteView, _ key: ByteView) -> Bool {
        if head.hasDuplicateCredentials { return false }
        if head.authorization >= 0 {
            let value = headers.value(head.authorization, in: view)
            guard value.count > 7, value.slice(0, 6).equalsIgnoringCase("bearer"), value[6] == 0x20 else {
                return false
            }
            return Self.isSame(value.dropping(7).trimmed(), key)
        }
        guard head.apiKey >= 0 else { return false }
        return Self.isSame(headers.value(head.apiKey, in: view), key)
    }

    /// Compares without telling by its time where two keys differ.
    static func isSame(_ shown: ByteView, _ key: ByteView) -> Bool {
        guard !key.isEmpty else { return false }
        var difference: UInt8 = shown.count == key.count ? 0 : 1
        var position = 0
        for index in 0..<shown.count {
            difference |= shown[index] ^ key[position]
            position = position &+ 1 == key.count ? 0 : position &+ 1
        }
        return difference == 0
    }

    /// Routes that the gateway answers by itself or that have no body.
    private func answerHere(_ client: ClientPointer) {
        switch client.pointee.route {
        case .health: respond(client, 200, Array(#"{"status":"ok"}"#.utf8))
        case .ready:
            let settings = table.snapshot.settings
            let body =
                Array(#"{"ready":\#(settings.ready),"reason":"#.utf8) + JSONString.encode(settings.readyReason) + [0x7d]
            respond(client, settings.ready ? 200 : 503, body)
        case .models:
            let list = client.pointee.head.isAnthropic ? table.anthropicModels : table.openAIModels
            respond(client, 200, list.array)
        case .model: answerModel(client)
        case .response, .responseCancel: beginInquiry(client)
        default: refuse(client, .unknownRoute)
        }
    }

    /// `GET /v1/models/{id}`: ids contain slashes, encoded or not.
    private func answerModel(_ client: ClientPointer) {
        let head = client.pointee.head
        if head.isAnthropic { client.pointee.dialect = .anthropic }
        let path = client.pointee.inbound.view.slice(head.pathStart, head.pathStart + head.pathLength)
        let id = PercentCoding.decode(path.dropping(11))
        if let card = ModelListing.find(id, in: table.snapshot) {
            let body = head.isAnthropic ? ModelListing.anthropic(card, id: id) : ModelListing.openAI(card, id: id)
            return respond(client, 200, body)
        }
        refuseMissing(client, id)
    }
}
