import CLinux
import Glibc
import Synchronization

extension EventLoop {
    /// Gets a connection to a run and writes the request to it.
    func connect(_ client: ClientPointer, _ index: Int, fresh: Bool) {
        let run = table.runs[index]
        if run.isTLS, run.tls == nil {
            return failExchange(
                client, .upstreamError, .untrusted,
                "The roots by which this provider's certificate is verified cannot be read (ca_file).")
        }
        writeUpstreamHead(client, run, index)
        client.pointee.phase = .dispatch
        client.pointee.sent = 0
        client.pointee.exchange.hasSent = false
        client.pointee.upstreamCloses = false
        client.pointee.hasBodyByte = false
        if !fresh, client.pointee.upload < 0 {
            while let upstream = idle.first(for: run.cell) {
                idle.remove(upstream)
                upstream.pointee.phase = .busy
                guard upstream.pointee.addressID == run.addressID else {
                    closeUpstream(upstream)
                    continue
                }
                client.pointee.exchange.isReused = true
                attach(client, upstream, run)
                return sendRequest(client)
            }
        }
        client.pointee.exchange.isReused = false
        var error: Int32 = 0
        guard var socket = Socket.connecting(to: run.address, error: &error) else {
            return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
        }
        if let context = run.tls {
            let session = run.cell.pointee.lines[self.index].session
            guard socket.connectTLS(context, name: run.tlsName, session: session) else {
                socket.close(isClean: false)
                return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .untrusted)
            }
        }
        guard let upstream = upstreams.take() else {
            socket.close(isClean: false)
            return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
        }
        upstream.pointee.socket = socket
        upstream.pointee.phase = .connecting
        upstream.pointee.isReused = false
        attach(client, upstream, run)
        guard poller.add(socket.descriptor, upstream.pointee.handle) else {
            return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
        }
        wheel.set(client, deadline(limits.connectTimeoutMilliseconds))
        sendRequest(client)
    }

    @inline(__always) private func attach(_ client: ClientPointer, _ upstream: UpstreamPointer, _ run: RunRoute) {
        upstream.pointee.client = client
        upstream.pointee.run = run.cell
        upstream.pointee.interim = 0
        upstream.pointee.addressID = run.addressID
        client.pointee.upstream = upstream
    }

    /// The head for the server: the client's own fields as they came, but for those that stop here.
    private func writeUpstreamHead(_ client: ClientPointer, _ run: RunRoute, _ index: Int) {
        let view = client.pointee.inbound.view
        // The table of fields may hold another head by now.
        if headerOwner != client.pointee.handle.raw || headerBase != view.base {
            _ = RequestHeadParser.parse(view, into: headers, limit: .max)
        }
        headerOwner = 0
        let head = client.pointee.head
        let model = replacement(client)
        var needed = head.length + run.lines.count + run.basePath.count + model.count + 512
        let special = path(client)
        if let special { needed += special.target.count }
        if !client.pointee.upstreamHead.hasMemory || client.pointee.upstreamHead.capacity < needed {
            pool.give(&client.pointee.upstreamHead)
            client.pointee.upstreamHead = pool.take(needed)
        }
        var out = client.pointee.upstreamHead
        out.clear()
        out.append(view.slice(0, head.methodLength))
        out.append(ByteView(" "))
        out.append(run.basePath)
        if let special {
            special.target.withUnsafeBufferPointer { out.append(ByteView($0.baseAddress!, $0.count)) }
        } else {
            out.append(view.slice(head.pathStart, head.pathStart + head.pathLength))
        }
        out.append(view.slice(head.pathStart + head.pathLength, head.pathStart + head.pathLength + head.queryLength))
        out.append(ByteView(" HTTP/1.1\r\n"))
        out.append(run.lines)
        headers.stretches(head.fieldCount, end: head.length - 2, without: { $0.name.stopsFromClient || $0.named }) {
            out.append(view.slice($0, $1))
        }
        out.append(ByteView("x-request-id: "))
        client.pointee.requestID.withBytes { out.append($0) }
        let replaced = client.pointee.modelEnd - client.pointee.modelStart
        if let upload = upload(client) {
            appendFraming(upload, replacement: replaced > 0 ? model.count : nil, to: &out)
        } else {
            let length = client.pointee.bodyLength - replaced + (replaced > 0 ? model.count : 0)
            if head.method == .post || length > 0 || head.contentLength >= 0 {
                out.append(ByteView("\r\ncontent-length: "))
                append(length, to: &out)
            }
            out.append(ByteView("\r\n\r\n"))
        }
        client.pointee.upstreamHeadLength = out.count
        if replaced > 0 { out.append(model) }
        client.pointee.upstreamHead = out
    }

    /// What stands in place of the body's model: JSON in JSON, plain text in a form.
    private func replacement(_ client: ClientPointer) -> ByteView {
        guard client.pointee.modelEnd > client.pointee.modelStart else { return ByteView("") }
        if client.pointee.targetSerial != table.serial {
            guard case .found = target(client) else { return ByteView("") }
        }
        let model = table.targets[client.pointee.target].model
        if client.pointee.route.body == .json || model.isEmpty { return model }
        let count = JSONString.unescape(model.slice(1, model.count - 1), into: scratch)
        return ByteView(UnsafePointer(scratch), count)
    }

    /// Writes what is left of the request.
    func sendRequest(_ client: ClientPointer) {
        guard let upstream = client.pointee.upstream else { return }
        if let upload = upload(client) { return sendUpload(client, upload) }
        while true {
            let total =
                client.pointee.upstreamHead.count + client.pointee.bodyLength
                - (client.pointee.modelEnd - client.pointee.modelStart)
            if client.pointee.sent >= total { break }
            switch writeParts(client, upstream) {
            case .bytes(let count):
                if !client.pointee.exchange.hasSent, upstream.pointee.socket.isTLS {
                    // The handshake is over, and with it the time for connecting.
                    wheel.set(client, deadline(limits.firstByteTimeoutMilliseconds))
                }
                client.pointee.exchange.hasSent = true
                client.pointee.sent += count
            case .wouldBlock:
                if upstream.pointee.phase == .connecting, client.pointee.exchange.hasSent,
                    !upstream.pointee.socket.isTLS
                {
                    // Whoever took a part of it is connected, and may be slow to take the rest.
                    upstream.pointee.phase = .busy
                    wheel.set(client, deadline(limits.firstByteTimeoutMilliseconds))
                }
                return
            case .ended, .failed:
                if upstream.pointee.phase == .connecting {
                    return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
                }
                if upstream.pointee.socket.isTLS, !client.pointee.exchange.hasSent, !upstream.pointee.isReused {
                    logDisbelief(client, upstream)
                    return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .untrusted)
                }
                // The server may have answered before it closed: read that first.
                upstream.pointee.isFinished = true
                upstream.pointee.isReadable = true
                client.pointee.phase = .awaiting
                client.pointee.upstreamCloses = true
                return readUpstream(upstream)
            }
        }
        if upstream.pointee.phase == .connecting { upstream.pointee.phase = .busy }
        if client.pointee.phase == .dispatch {
            client.pointee.phase = .awaiting
            // It is written anew for another try: nothing but the request itself is kept while the server thinks.
            pool.give(&client.pointee.upstreamHead)
            noteOwnTime(client)
            wheel.set(client, deadline(limits.firstByteTimeoutMilliseconds))
        }
    }

    /// Writes head, body before the model, model, body after it, from where the last write ended.
    @inline(__always) private func writeParts(_ client: ClientPointer, _ upstream: UpstreamPointer) -> Socket.Outcome {
        let head = client.pointee.upstreamHead
        let headLength = client.pointee.upstreamHeadLength
        let bodyStart = client.pointee.bodyStart
        let bodyEnd = bodyStart + client.pointee.bodyLength
        if client.pointee.sent == 0, bodyEnd > bodyStart, head.count &+ client.pointee.bodyLength <= Self.copyLimit {
            return writeCopied(client, upstream)
        }
        var parts = (iovec(), iovec(), iovec(), iovec())
        return withUnsafeMutablePointer(to: &parts) { tuple in
            tuple.withMemoryRebound(to: iovec.self, capacity: 4) { list in
                var count = 0
                var skip = client.pointee.sent
                func add(_ base: UnsafePointer<UInt8>, _ length: Int) {
                    if skip >= length {
                        skip &-= length
                        return
                    }
                    list[count].iov_base = UnsafeMutableRawPointer(mutating: base + skip)
                    list[count].iov_len = length &- skip
                    skip = 0
                    count &+= 1
                }
                add(head.view.base, headLength)
                if bodyEnd > bodyStart {
                    let body = client.pointee.inbound.view.base
                    if client.pointee.modelEnd > client.pointee.modelStart {
                        add(body + bodyStart, client.pointee.modelStart - bodyStart)
                        add(head.view.base + headLength, head.count - headLength)
                        add(body + client.pointee.modelEnd, bodyEnd - client.pointee.modelEnd)
                    } else {
                        add(body + bodyStart, bodyEnd - bodyStart)
                    }
                }
                return upstream.pointee.socket.write(list, count)
            }
        }
    }

    /// Writes a small request in one stretch: copying it costs less than the kernel's way through several.
    @inline(__always) private func writeCopied(_ client: ClientPointer, _ upstream: UpstreamPointer) -> Socket.Outcome {
        let head = client.pointee.upstreamHead.view
        let headLength = client.pointee.upstreamHeadLength
        let body = client.pointee.inbound.view
        let bodyEnd = client.pointee.bodyStart + client.pointee.bodyLength
        var length = 0
        func add(_ view: ByteView) {
            memcpy(scratch + length, view.base, view.count)
            length &+= view.count
        }
        add(head.slice(0, headLength))
        if client.pointee.modelEnd > client.pointee.modelStart {
            add(body.slice(client.pointee.bodyStart, client.pointee.modelStart))
            add(head.dropping(headLength))
            add(body.slice(client.pointee.modelEnd, bodyEnd))
        } else {
            add(body.slice(client.pointee.bodyStart, bodyEnd))
        }
        return upstream.pointee.socket.write(ByteView(UnsafePointer(scratch), length))
    }

    /// Something happened on a server's socket.
    @inline(__always) func onUpstream(_ upstream: UpstreamPointer, _ events: UInt32) {
        let ends = Poller.peerFinished | Poller.hangUp | Poller.error
        switch upstream.pointee.phase {
        case .free: break
        case .idle:
            // TLS has words of its own that nobody waits for, such as tickets.
            if upstream.pointee.socket.isTLS, events & ends == 0 {
                if events & Poller.readable == 0 { return }
                if case .wouldBlock = upstream.pointee.socket.read(into: chunk, 1) { return }
            }
            // Whatever comes on a connection that nobody uses is its end.
            if events & (Poller.readable | ends) != 0 { closeUpstream(upstream) }
        case .connecting, .busy:
            guard let client = upstream.pointee.client else { return closeUpstream(upstream) }
            if upstream.pointee.phase == .connecting {
                guard stoker_socket_error(upstream.pointee.socket.descriptor) == 0, events & Poller.error == 0 else {
                    return perform(
                        client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
                }
                guard events & Poller.writable != 0 else { return }
                upstream.pointee.phase = .busy
                // A server that takes the connection but not the request is late, not unreachable.
                if !upstream.pointee.socket.isTLS {
                    wheel.set(client, deadline(limits.firstByteTimeoutMilliseconds))
                }
            }
            if events & ends != 0 { upstream.pointee.isFinished = true }
            // TLS may have waited for either direction's sake.
            let isEither = upstream.pointee.socket.isTLS && events & (Poller.readable | Poller.writable) != 0
            if isEither || events & (Poller.readable | ends) != 0 { upstream.pointee.isReadable = true }
            if isEither || events & Poller.writable != 0, client.pointee.phase == .dispatch {
                sendRequest(client)
                guard upstream.pointee.phase != .free, upstream.pointee.client == client else { return }
            }
            if upstream.pointee.isReadable { readUpstream(upstream) }
        }
    }

    /// Lets go of a server's connection that has done its work: kept, or closed.
    @inline(__always) func releaseUpstream(_ client: ClientPointer, keeps: Bool) {
        guard let upstream = client.pointee.upstream else { return }
        if upstream.pointee.socket.isTLS, !upstream.pointee.isReused, let run = upstream.pointee.run,
            let session = upstream.pointee.socket.resumable()
        {
            run.pointee.lines[index].keep(session)
        }
        guard keeps, !upstream.pointee.isFinished, let run = upstream.pointee.run, idle.hasRoom(for: run),
            run.pointee.table.load(ordering: .relaxed) == table.serial
        else { return closeUpstream(upstream) }
        client.pointee.upstream = nil
        upstream.pointee.client = nil
        upstream.pointee.phase = .idle
        upstream.pointee.isReused = true
        upstream.pointee.isReadable = false
        idle.put(upstream, now: now)
    }

    /// Closes a server's connection: to vLLM, that aborts what it works on.
    func closeUpstream(_ upstream: UpstreamPointer) {
        guard upstream.pointee.phase != .free else { return }
        if upstream.pointee.phase == .idle { idle.remove(upstream) }
        if let client = upstream.pointee.client { client.pointee.upstream = nil }
        upstream.pointee.client = nil
        upstream.pointee.socket.close(isClean: upstream.pointee.phase != .connecting)
        pool.give(&upstream.pointee.partial)
        upstream.pointee.phase = .free
        closedUpstreams.append(upstream)
    }
}
