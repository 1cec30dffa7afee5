import Glibc

/// Multipart bodies that are not kept in memory: parts before the model go to a file, then the request leaves, and the
/// rest is passed on as it comes. Such a request is not tried again once a byte of it has left.
extension EventLoop {
    /// The upload of a request; nil for bodies that are kept.
    @inline(__always) func upload(_ client: ClientPointer) -> Upload? {
        client.pointee.upload < 0 ? nil : uploads[Int(client.pointee.upload)]
    }

    /// Begins an upload where the body asks for one; true when the request is dealt with, one way or the other.
    func beginUpload(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        guard client.pointee.route.body == .multipart, head.isChunked || head.contentLength > Upload.threshold else {
            return false
        }
        let view = client.pointee.inbound.view
        guard let boundary = Multipart.boundary(of: headers.value(head.contentType, in: view)) else {
            refuse(client, .invalidRequest, Multipart.boundaryMessage)
            return true
        }
        guard let upload = Upload(total: head.isChunked ? nil : head.contentLength, boundary: boundary) else {
            GatewayLog.error("no temporary file can be made for an upload", [("errno", "\(errno)")])
            refuse(client, .internalError)
            return true
        }
        if let free = freeUploads.popLast() {
            uploads[Int(free)] = upload
            client.pointee.upload = free
        } else {
            uploads.append(upload)
            client.pointee.upload = Int32(uploads.count - 1)
        }
        client.pointee.exchange.kind = .upload
        if head.expectsContinue, !head.isVersion10, client.pointee.inbound.count == head.length {
            guard send(client, ByteView("HTTP/1.1 100 Continue\r\n\r\n")) else { return true }
        }
        wheel.set(client, now &+ patience.body)
        takeUpload(client, upload)
        return true
    }

    /// Forgets an upload, its file with it.
    func releaseUpload(_ client: ClientPointer) {
        guard let upload = upload(client) else { return }
        pool.give(&upload.pending)
        uploads[Int(client.pointee.upload)] = nil
        freeUploads.append(client.pointee.upload)
        client.pointee.upload = -1
    }

    /// Reads more of what stands before the model; false when there is no more now.
    func receiveUpload(_ client: ClientPointer, _ upload: Upload) -> Bool {
        guard client.pointee.isReadable else { return false }
        pool.reserve(&client.pointee.inbound, min(upload.missing, Upload.window))
        let room = min(upload.missing, client.pointee.inbound.room)
        switch client.pointee.socket.read(into: client.pointee.inbound.tail, room) {
        case .bytes(let count):
            client.pointee.inbound.wrote(count)
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            wheel.set(client, now &+ patience.body)
            takeUpload(client, upload)
            return client.pointee.phase == .body
        case .wouldBlock:
            client.pointee.isReadable = false
            return false
        case .ended, .failed:
            clientGone(client)
            return false
        }
    }

    /// Spools what has come, and goes on to an instance when the model is known or cannot come any more.
    private func takeUpload(_ client: ClientPointer, _ upload: Upload) {
        let start = client.pointee.bodyStart
        let available = client.pointee.inbound.count - start
        guard available > 0 else { return }
        var fresh = min(available, upload.missing)
        var behind = fresh
        if client.pointee.head.isChunked {
            let place = client.pointee.inbound.place(start)
            let progress = client.pointee.framing.decode(ByteView(UnsafePointer(place), available), to: place)
            fresh = progress.decoded
            behind = progress.consumed
            if let code = judgeChunks(client, upload, fresh) { return refuseUpload(client, code) }
        }
        let view = client.pointee.inbound.view.slice(start, start + fresh)
        let isKnown = fresh > 0 && upload.scanner.feed(view)
        guard upload.spool(view) else {
            GatewayLog.error("an upload's temporary file takes no more", [("errno", "\(errno)")])
            return refuse(client, .internalError)
        }
        if client.pointee.framing.isEnded { upload.total = upload.spooled }
        client.pointee.loggedBody = upload.spooled
        guard isKnown || upload.isWhole else { return client.pointee.inbound.keep(start) }
        // What follows the body is the next request's.
        let next = client.pointee.inbound.view.slice(start + behind, start + available).array
        client.pointee.inbound.keep(start)
        if let place = upload.scanner.place {
            // The value stands where a kept body would: selecting needs no more of it.
            append(upload.scanner.value, to: client)
            client.pointee.bodyLength = place.end - place.start
            client.pointee.multipartModel = ModelScanner.Place(
                start: 0, end: place.end - place.start, hasEscapes: false)
        }
        client.pointee.requestLength = client.pointee.inbound.count
        append(next, to: client)
        select(client)
    }

    /// What is wrong with a chunked body of which so many more bytes have come, or nil.
    private func judgeChunks(_ client: ClientPointer, _ upload: Upload, _ fresh: Int) -> ErrorCode? {
        if client.pointee.framing.isBad { return .invalidRequest }
        return limits.bodyBytes > 0 && upload.count + fresh > limits.bodyBytes ? .bodyTooLarge : nil
    }

    /// Refuses an upload, on its way or not: nothing behind it can be a request.
    private func refuseUpload(_ client: ClientPointer, _ code: ErrorCode) {
        client.pointee.framing = ChunkFraming()
        client.pointee.requestLength = .max
        failExchange(client, code, .none, code == .invalidRequest ? ChunkFraming.malformedMessage : nil)
    }

    private func append(_ bytes: [UInt8], to client: ClientPointer) {
        bytes.withUnsafeBufferPointer {
            if let base = $0.baseAddress, !$0.isEmpty {
                pool.append(ByteView(base, $0.count), to: &client.pointee.inbound)
            }
        }
    }

    /// Ends the head of an upload by its length, or where that is not known by the size of the first chunk, which is what
    /// the file keeps.
    func appendFraming(_ upload: Upload, replacement: Int?, to out: inout Buffer) {
        let kept = upload.keptLength(replacement: replacement)
        upload.isFramed = upload.total == nil
        if let total = upload.total {
            out.append(ByteView("\r\ncontent-length: "))
            append(total - upload.spooled + kept, to: &out)
            out.append(ByteView("\r\n\r\n"))
        } else {
            out.append(ByteView("\r\ntransfer-encoding: chunked\r\n\r\n"))
            ChunkFraming.appendSize(kept, to: &out)
        }
    }

    /// Writes what is left of the request, as far as client and server allow.
    func sendUpload(_ client: ClientPointer, _ upload: Upload) {
        guard let upstream = client.pointee.upstream, client.pointee.phase == .dispatch else { return }
        while true {
            let outcome: Socket.Outcome
            if let kept = writeKept(client, upload, upstream) {
                outcome = kept
                if case .bytes(let count) = kept { client.pointee.sent += count }
            } else if !upload.pending.isEmpty {
                outcome = upstream.pointee.socket.write(upload.pending.view)
                if case .bytes(let count) = outcome { upload.pending.drop(count) }
            } else if upload.isWhole {
                break
            } else if receiveStreamed(client, upload) {
                continue
            } else {
                return
            }
            switch outcome {
            case .bytes:
                client.pointee.exchange.hasSent = true
                wheel.set(client, deadline(limits.streamIdleTimeoutMilliseconds))
            case .wouldBlock: return
            case .ended, .failed: return uploadFailed(client, upstream)
            }
        }
        pool.give(&upload.pending)
        if upstream.pointee.phase == .connecting { upstream.pointee.phase = .busy }
        client.pointee.phase = .awaiting
        noteOwnTime(client)
        wheel.set(client, deadline(limits.firstByteTimeoutMilliseconds))
    }

    /// Reads bytes to be passed on; false when there are none now, or the request is over.
    private func receiveStreamed(_ client: ClientPointer, _ upload: Upload) -> Bool {
        guard client.pointee.isReadable else {
            if !upload.waitsForClient { wheel.set(client, now &+ patience.body) }
            upload.waitsForClient = true
            return false
        }
        if !upload.pending.hasMemory { upload.pending = pool.take(Upload.window) }
        let isFramed = upload.isFramed
        let room = isFramed ? Upload.framedRoom : min(upload.missing, upload.pending.room)
        switch client.pointee.socket.read(into: isFramed ? chunk : upload.pending.tail, room) {
        case .bytes(let count):
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            upload.waitsForClient = false
            if isFramed { return frame(client, upload, count) }
            upload.pending.wrote(count)
            upload.streamed += count
            client.pointee.loggedBody = upload.count
            return true
        case .wouldBlock:
            client.pointee.isReadable = false
            return receiveStreamed(client, upload)
        case .ended, .failed:
            clientGone(client)
            return false
        }
    }

    /// Frames bytes of a chunked body anew, as a chunk of their own; false when they were none.
    private func frame(_ client: ClientPointer, _ upload: Upload, _ count: Int) -> Bool {
        let progress = client.pointee.framing.decode(ByteView(UnsafePointer(chunk), count), to: chunk)
        if let code = judgeChunks(client, upload, progress.decoded) {
            refuseUpload(client, code)
            return false
        }
        // Each piece ends the chunk before it.
        if progress.decoded > 0 {
            upload.pending.append(ByteView("\r\n"))
            ChunkFraming.appendSize(progress.decoded, to: &upload.pending)
            upload.pending.append(ByteView(UnsafePointer(chunk), progress.decoded))
        }
        upload.streamed += progress.decoded
        client.pointee.loggedBody = upload.count
        if client.pointee.framing.isEnded {
            upload.pending.append(ByteView("\r\n0\r\n\r\n"))
            upload.total = upload.count
            // What follows the body is the next request's.
            let next = ByteView(UnsafePointer(chunk) + progress.consumed, count - progress.consumed)
            if !next.isEmpty { pool.append(next, to: &client.pointee.inbound) }
        }
        return true
    }

    /// Writes more of the head and of what the file keeps, the model's value replaced; nil when that is over.
    private func writeKept(
        _ client: ClientPointer, _ upload: Upload, _ upstream: UpstreamPointer
    ) -> Socket.Outcome? {
        let head = client.pointee.upstreamHead
        var skip = client.pointee.sent
        let headLength = client.pointee.upstreamHeadLength
        if skip < headLength { return upstream.pointee.socket.write(head.view.slice(skip, headLength)) }
        skip -= headLength
        let isReplaced = client.pointee.modelEnd > client.pointee.modelStart
        guard isReplaced, let place = upload.scanner.place else {
            return skip < upload.spooled ? writeFile(upload, upstream, from: skip, to: upload.spooled) : nil
        }
        if skip < place.start { return writeFile(upload, upstream, from: skip, to: place.start) }
        skip -= place.start
        let model = head.count - headLength
        if skip < model {
            return upstream.pointee.socket.write(head.view.slice(headLength + skip, head.count))
        }
        skip -= model
        let from = place.end + skip
        return from < upload.spooled ? writeFile(upload, upstream, from: from, to: upload.spooled) : nil
    }

    private func writeFile(
        _ upload: Upload, _ upstream: UpstreamPointer, from: Int, to: Int
    ) -> Socket.Outcome {
        let got = upload.read(into: chunk, at: from, min(to - from, Self.readSize))
        guard got > 0 else { return .failed(EIO) }
        return upstream.pointee.socket.write(ByteView(UnsafePointer(chunk), got))
    }

    private func uploadFailed(_ client: ClientPointer, _ upstream: UpstreamPointer) {
        if upstream.pointee.phase == .connecting || !client.pointee.exchange.hasSent {
            return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
        }
        // The server may have answered before it closed: read that first.
        upstream.pointee.isFinished = true
        upstream.pointee.isReadable = true
        client.pointee.upstreamCloses = true
        readUpstream(upstream)
    }
}
