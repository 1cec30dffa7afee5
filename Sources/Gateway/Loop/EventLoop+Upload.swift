import Glibc

/// Multipart bodies too large for memory: parts before the model go to a file, then the request leaves, and the rest is
/// passed on as it comes. Such a request is not tried again once a byte of it has left.
extension EventLoop {
    /// The upload of a request; nil for bodies that are kept.
    @inline(__always) func upload(_ client: ClientPointer) -> Upload? {
        client.pointee.upload < 0 ? nil : uploads[Int(client.pointee.upload)]
    }

    /// Begins an upload where the body asks for one; true when the request is dealt with, one way or the other.
    func beginUpload(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        guard client.pointee.route.body == .multipart, head.contentLength > Upload.threshold else { return false }
        let view = client.pointee.inbound.view
        guard let boundary = Multipart.boundary(of: headers.value(head.contentType, in: view)) else {
            refuse(client, .invalidRequest, "The Content-Type has no usable boundary (RFC 7578, section 4.1).")
            return true
        }
        guard let upload = Upload(total: head.contentLength, boundary: boundary) else {
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
        wheel.set(client, now &+ Patience.body)
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
        let missing = upload.total - upload.spooled
        pool.reserve(&client.pointee.inbound, min(missing, Upload.window))
        let room = min(missing, client.pointee.inbound.room)
        switch client.pointee.socket.read(into: client.pointee.inbound.tail, room) {
        case .bytes(let count):
            client.pointee.inbound.wrote(count)
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            wheel.set(client, now &+ Patience.body)
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

    /// Spools what has come, and goes on to an instance when the model is known.
    private func takeUpload(_ client: ClientPointer, _ upload: Upload) {
        let start = client.pointee.bodyStart
        let available = min(client.pointee.inbound.count - start, upload.total - upload.spooled)
        guard available > 0 else { return }
        let fresh = client.pointee.inbound.view.slice(start, start + available)
        let isKnown = upload.scanner.feed(fresh)
        guard upload.spool(fresh) else {
            GatewayLog.error("an upload's temporary file takes no more", [("errno", "\(errno)")])
            return refuse(client, .internalError)
        }
        client.pointee.inbound.keep(start)
        client.pointee.loggedBody = upload.spooled
        guard isKnown || upload.spooled == upload.total else { return }
        guard let place = upload.scanner.place else {
            return refuse(client, .invalidRequest, "The multipart body has no field `model`.")
        }
        // The value stands where a kept body would: selecting needs no more of it.
        upload.scanner.value.withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress { pool.append(ByteView(base, bytes.count), to: &client.pointee.inbound) }
        }
        client.pointee.bodyLength = place.end - place.start
        client.pointee.requestLength = client.pointee.inbound.count
        client.pointee.multipartModel = ModelScanner.Place(
            start: 0, end: place.end - place.start, hasEscapes: false)
        select(client)
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

    /// Reads bytes to be passed on; false when there are none now, or the client is gone.
    private func receiveStreamed(_ client: ClientPointer, _ upload: Upload) -> Bool {
        guard client.pointee.isReadable else {
            if !upload.waitsForClient { wheel.set(client, now &+ Patience.body) }
            upload.waitsForClient = true
            return false
        }
        if !upload.pending.hasMemory { upload.pending = pool.take(Upload.window) }
        let room = min(upload.total - upload.spooled - upload.streamed, upload.pending.room)
        switch client.pointee.socket.read(into: upload.pending.tail, room) {
        case .bytes(let count):
            upload.pending.wrote(count)
            upload.streamed += count
            upload.waitsForClient = false
            client.pointee.loggedBody = upload.spooled + upload.streamed
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            return true
        case .wouldBlock:
            client.pointee.isReadable = false
            return receiveStreamed(client, upload)
        case .ended, .failed:
            clientGone(client)
            return false
        }
    }

    /// Writes more of the head and of what the file keeps, the model's value replaced; nil when that is over.
    private func writeKept(
        _ client: ClientPointer, _ upload: Upload, _ upstream: UpstreamPointer
    ) -> Socket.Outcome? {
        guard let place = upload.scanner.place else { return nil }
        let head = client.pointee.upstreamHead
        var skip = client.pointee.sent
        let headLength = client.pointee.upstreamHeadLength
        if skip < headLength { return upstream.pointee.socket.write(head.view.slice(skip, headLength)) }
        skip -= headLength
        let isReplaced = client.pointee.modelEnd > client.pointee.modelStart
        let before = isReplaced ? place.start : upload.spooled
        if skip < before { return writeFile(upload, upstream, from: skip, to: before) }
        guard isReplaced else { return nil }
        skip -= before
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

    /// The length of the body that the server gets.
    func uploadLength(_ upload: Upload, replacement: Int?) -> Int {
        guard let place = upload.scanner.place, let replacement else { return upload.total }
        return upload.total - (place.end - place.start) + replacement
    }
}
