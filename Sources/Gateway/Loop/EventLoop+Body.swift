import Glibc
import Synchronization

extension EventLoop {
    /// The head allows a body: reads it.
    func beginBody(_ client: ClientPointer) {
        let head = client.pointee.head
        client.pointee.scanner = ModelScanner()
        client.pointee.framing = ChunkFraming()
        client.pointee.bodyLength = 0
        if head.isChunked {
            client.pointee.phase = .body
            if beginUpload(client) { return }
        } else {
            guard head.contentLength >= 0 else { return refuse(client, .lengthRequired) }
            guard limits.bodyBytes <= 0 || head.contentLength <= limits.bodyBytes else {
                return refuse(client, .bodyTooLarge)
            }
            client.pointee.phase = .body
            client.pointee.requestLength = head.length + head.contentLength
            if beginUpload(client) { return }
        }
        if takeBody(client) { return }
        if head.expectsContinue, !head.isVersion10, client.pointee.inbound.count == head.length {
            guard send(client, ByteView("HTTP/1.1 100 Continue\r\n\r\n")) else { return }
        }
        wheel.set(client, now &+ patience.body)
    }

    /// Reads more of a body; false when there is no more now.
    func receiveBody(_ client: ClientPointer) -> Bool {
        if let upload = upload(client) { return receiveUpload(client, upload) }
        guard client.pointee.isReadable, !client.pointee.isPaused else { return false }
        guard reserveBody(client) else { return false }
        let room: Int
        if client.pointee.head.isChunked {
            pool.reserve(&client.pointee.inbound, BufferPool.sizes.small)
            room = client.pointee.inbound.room
        } else {
            let missing = client.pointee.requestLength - client.pointee.inbound.count
            pool.reserve(&client.pointee.inbound, missing)
            room = min(missing, client.pointee.inbound.room)
        }
        switch client.pointee.socket.read(into: client.pointee.inbound.tail, room) {
        case .bytes(let count):
            client.pointee.inbound.wrote(count)
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            wheel.set(client, now &+ patience.body)
            _ = takeBody(client)
            return client.pointee.phase != .free
        case .wouldBlock:
            client.pointee.isReadable = false
            return false
        case .ended, .failed:
            clientGone(client)
            return false
        }
    }

    /// Makes sure that the process may keep this body; else pauses the client.
    private func reserveBody(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        let wanted = head.isChunked ? client.pointee.bodyLength + BufferPool.sizes.small : head.contentLength
        let more = wanted - client.pointee.reserved
        guard wanted > BufferPool.sizes.middle, more > 0 else { return true }
        // Chunked bodies grow by leaps, so that the process's count is not touched at every read.
        let step = head.isChunked ? max(more, client.pointee.reserved) : more
        let total = shared.bodyMemory.wrappingAdd(step, ordering: .relaxed).newValue
        // One body alone always fits, or nothing would ever move again.
        if limits.bodyMemoryBytes > 0, total > limits.bodyMemoryBytes, total > step {
            _ = shared.bodyMemory.wrappingSubtract(step, ordering: .relaxed)
            client.pointee.isPaused = true
            // Waiting for memory is not the client's fault.
            wheel.set(client, now &+ patience.body)
            paused.append(client.pointee.handle)
            nextSweep = min(nextSweep, now &+ 50_000_000)
            return false
        }
        client.pointee.reserved += step
        return true
    }

    /// Gives back the process's memory that this client's body took.
    @inline(__always) func releaseBody(_ client: ClientPointer) {
        guard client.pointee.reserved > 0 else { return }
        _ = shared.bodyMemory.wrappingSubtract(client.pointee.reserved, ordering: .relaxed)
        client.pointee.reserved = 0
    }

    /// Looks at the bytes of the body that are new; true when the request has left the body's phase.
    private func takeBody(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        let start = client.pointee.bodyStart + client.pointee.bodyLength
        let available = client.pointee.inbound.count - start
        var fresh = 0
        var isWhole = false
        if head.isChunked {
            if available > 0 {
                let place = client.pointee.inbound.place(start)
                let raw = ByteView(UnsafePointer(place), available)
                let progress = client.pointee.framing.decode(raw, to: place)
                fresh = progress.decoded
                if client.pointee.framing.isBad {
                    refuse(client, .invalidRequest, ChunkFraming.malformedMessage)
                    return true
                }
                let left = available - progress.consumed
                if left > 0 { memmove(place + fresh, place + progress.consumed, left) }
                client.pointee.inbound.keep(start + fresh + left)
                isWhole = client.pointee.framing.isEnded
                if isWhole { client.pointee.requestLength = start + fresh }
            }
            if limits.bodyBytes > 0, client.pointee.bodyLength + fresh > limits.bodyBytes {
                client.pointee.framing = ChunkFraming()
                client.pointee.requestLength = .max
                refuse(client, .bodyTooLarge)
                return true
            }
        } else {
            fresh = min(available, head.contentLength - client.pointee.bodyLength)
            isWhole = client.pointee.bodyLength + fresh == head.contentLength
        }
        if fresh > 0, client.pointee.scansBody {
            let view = client.pointee.inbound.view.slice(start, start + fresh)
            client.pointee.bodyLength += fresh
            if !client.pointee.scanner.feed(view) {
                if !isWhole { client.pointee.requestLength = .max }
                refuseJSON(client)
                return true
            }
        } else {
            client.pointee.bodyLength += fresh
        }
        guard isWhole else { return false }
        bodyIsWhole(client)
        return true
    }

    private func refuseJSON(_ client: ClientPointer) {
        refuse(client, .invalidJSON, (client.pointee.scanner.failure ?? .syntax).message)
    }

    /// The body is here, whole: now where to.
    private func bodyIsWhole(_ client: ClientPointer) {
        if client.pointee.scansBody, client.pointee.scanner.finish() != nil { return refuseJSON(client) }
        if client.pointee.route == .passthrough { return selectPassthrough(client) }
        client.pointee.exchange.kind = .routed
        if client.pointee.route.body == .multipart {
            let view = client.pointee.inbound.view
            let body = view.slice(client.pointee.bodyStart, client.pointee.bodyStart + client.pointee.bodyLength)
            // The table of fields is the last parsed head's; this request's own is read again.
            _ = RequestHeadParser.parse(view, into: headers, limit: .max)
            headerOwner = 0
            let type = headers.value(client.pointee.head.contentType, in: view)
            guard let boundary = Multipart.boundary(of: type) else {
                return refuse(client, .invalidRequest, Multipart.boundaryMessage)
            }
            let places = Multipart.fields("model", in: body, boundary)
            guard places.count < 2 else {
                return refuse(client, .invalidRequest, "The multipart body has more than one field `model`.")
            }
            client.pointee.multipartModel = places.first
        }
        select(client)
    }
}
