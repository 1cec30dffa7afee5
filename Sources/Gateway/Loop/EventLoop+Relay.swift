import Fleet
import Glibc
import Synchronization

extension EventLoop {
    /// Lets the response leave: head, what is held, and perhaps bytes just read, in one write.
    func commit(_ client: ClientPointer, with view: ByteView? = nil) {
        _ = client.pointee.exchange.handle(.commit)
        if client.pointee.status < 500 { noteVerdict(client, .succeeded) }
        client.pointee.phase = .relaying
        releaseBody(client)
        if client.pointee.upload < 0 { client.pointee.loggedBody = client.pointee.bodyLength }
        // The request is not needed any more; what came behind it stays.
        client.pointee.inbound.drop(min(client.pointee.requestLength, client.pointee.inbound.count))
        client.pointee.requestLength = 0
        client.pointee.bodyLength = 0
        if client.pointee.inbound.isEmpty { pool.give(&client.pointee.inbound) }
        pool.give(&client.pointee.upstreamHead)
        // In passthrough the head leaves before the engine has said anything.
        let hasBegun = client.pointee.hasBodyByte || view != nil || client.pointee.exchange.kind == .routed
        wheel.set(
            client, deadline(hasBegun ? limits.streamIdleTimeoutMilliseconds : limits.firstByteTimeoutMilliseconds))
        var held = client.pointee.held
        client.pointee.held = Buffer()
        if held.count > client.pointee.heldHeadLength {
            client.pointee.responseBytes = held.count - client.pointee.heldHeadLength
            notePeek(client)
        }
        noteFirstByte(client)
        let ownTime = client.pointee.isSampled ? client.pointee.ownTime : nil
        if let view {
            relay(client, view, behind: &held)
        } else if send(client, held.view), isOver(client) {
            responseDone(client)
        }
        if client.pointee.phase == .relaying { measureChunks(client) }
        if let ownTime { measures.pointee.overhead.record(ownTime &+ (Instant.now().nanoseconds &- now)) }
        pool.give(&held)
    }

    /// Whether the response's body has been seen whole.
    @inline(__always) private func isOver(_ client: ClientPointer) -> Bool {
        switch client.pointee.bodyEnd {
        case .none: return true
        case .length: return client.pointee.responseLeft == 0
        case .chunked: return client.pointee.framing.isEnded
        case .close: return false
        }
    }

    /// Bytes of a body on their way to the client: one read, one write.
    @inline(__always) func relay(_ client: ClientPointer, _ view: ByteView) {
        var none = Buffer()
        relay(client, view, behind: &none)
    }

    /// Follows the framing of a body's bytes and writes them behind what was held.
    @inline(__always) private func relay(_ client: ClientPointer, _ view: ByteView, behind held: inout Buffer) {
        noteLife(client, view)
        noteChunk(client, view)
        if client.pointee.outbound.isEmpty { wheel.set(client, deadline(limits.streamIdleTimeoutMilliseconds)) }
        if client.pointee.dialect == .responses { noteSequence(client, view) }
        var leaving = view
        var owesLineEnd = false
        switch client.pointee.bodyEnd {
        case .chunked:
            if client.pointee.head.isVersion10 {
                // The bytes may be anyone's memory, so they are decoded beside.
                let progress = client.pointee.framing.decode(view, to: scratch)
                leaving = ByteView(UnsafePointer(scratch), progress.decoded)
                if progress.consumed < view.count { client.pointee.upstreamCloses = true }
            } else {
                let progress = client.pointee.framing.follow(view)
                leaving = view.slice(0, progress.relay)
                owesLineEnd = progress.owesLineEnd
                if progress.consumed < view.count { client.pointee.upstreamCloses = true }
            }
        case .length:
            let count = min(view.count, client.pointee.responseLeft)
            if count < view.count { client.pointee.upstreamCloses = true }
            client.pointee.responseLeft &-= count
            leaving = view.slice(0, count)
        case .close: noteLast(client, view)
        case .none: leaving = view.slice(0, 0)
        }
        client.pointee.responseBytes &+= leaving.count
        if held.hasMemory {
            guard send(client, held, leaving) else { return }
        } else {
            guard send(client, leaving) else { return }
        }
        if owesLineEnd { guard send(client, ByteView("\r\n")) else { return } }
        if client.pointee.bodyEnd == .chunked, client.pointee.framing.isBad { return upstreamLost(client) }
        if isOver(client) {
            responseDone(client)
        }
    }

    /// Sends two stretches in one write.
    private func send(_ client: ClientPointer, _ first: Buffer, _ second: ByteView) -> Bool {
        guard client.pointee.outbound.isEmpty, !second.isEmpty else {
            return send(client, first.view) && send(client, second)
        }
        if second.count <= min(first.room, Self.copyLimit) {
            var whole = first
            whole.append(second)
            return send(client, whole.view)
        }
        var parts = (iovec(), iovec())
        parts.0.iov_base = UnsafeMutableRawPointer(mutating: first.view.base)
        parts.0.iov_len = first.count
        parts.1.iov_base = UnsafeMutableRawPointer(mutating: second.base)
        parts.1.iov_len = second.count
        let outcome = withUnsafeMutablePointer(to: &parts) { tuple in
            tuple.withMemoryRebound(to: iovec.self, capacity: 2) { client.pointee.socket.write($0, 2) }
        }
        var sent = 0
        switch outcome {
        case .bytes(let count): sent = count
        case .wouldBlock: break
        case .ended, .failed:
            clientGone(client)
            return false
        }
        if sent < first.count { stash(client, first.view.dropping(sent)) }
        let left = max(0, sent - first.count)
        if left < second.count { stash(client, second.dropping(left)) }
        return true
    }

    /// Keeps the newest two bytes of a body without framing.
    @inline(__always) func noteLast(_ client: ClientPointer, _ view: ByteView) {
        if view.count >= 2 {
            client.pointee.lastBytes = UInt16(view[view.count &- 2]) &<< 8 | UInt16(view[view.count &- 1])
        } else if view.count == 1 {
            client.pointee.lastBytes = client.pointee.lastBytes &<< 8 | UInt16(view[0])
        }
    }

    /// Follows the `sequence_number`s of bytes that are kept or about to leave, so that an error event can come behind
    /// them; to be called before the framing moves over these bytes.
    func noteSequence(_ client: ClientPointer, _ view: ByteView) {
        guard client.pointee.bodyEnd == .chunked else { return client.pointee.sequence.follow(view) }
        var framing = client.pointee.framing
        let progress = framing.decode(view, to: scratch)
        client.pointee.sequence.follow(ByteView(UnsafePointer(scratch), progress.decoded))
    }

    /// The response is over: the server's connection is kept, the client goes on.
    private func responseDone(_ client: ClientPointer) {
        if client.pointee.exchange.deaths > 0, let run = client.pointee.run,
            !run.pointee.published.load(ordering: .acquiring)
        {
            // The second engine has told of its death in the stream, in words of its own.
            logSuspect(client, .engineDead)
        }
        releaseUpstream(client, keeps: !client.pointee.upstreamCloses)
        releaseLease(client)
        releasePassthrough(client)
        pool.give(&client.pointee.peek)
        concludeResponse(client)
    }

    /// The server's connection has ended.
    func upstreamEnded(_ client: ClientPointer, _ upstream: UpstreamPointer, isClean: Bool) {
        upstream.pointee.isReadable = false
        upstream.pointee.isFinished = true
        switch client.pointee.phase {
        case .dispatch, .awaiting:
            if upstream.pointee.phase == .connecting {
                return perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: false)), .refused)
            }
            let anyByte = !upstream.pointee.partial.isEmpty
            perform(client, client.pointee.exchange.handle(.lost(anyByte: anyByte)), .lost)
        case .held:
            if client.pointee.bodyEnd == .close, isClean {
                commit(client)
                if client.pointee.phase == .relaying { responseDone(client) }
            } else {
                perform(client, client.pointee.exchange.handle(.lost(anyByte: true)), .lost)
            }
        case .relaying:
            if client.pointee.bodyEnd == .close, isClean {
                responseDone(client)
            } else {
                perform(client, client.pointee.exchange.handle(.lostAfterCommit), .lostInStream)
            }
        default: closeUpstream(upstream)
        }
    }

    /// The server was lost in the middle of a response that the client is reading.
    func upstreamLost(_ client: ClientPointer) {
        LoopCounters.add(counters.pointee.upstreamLost)
        if let run = client.pointee.run {
            _ = run.pointee.lost.wrappingAdd(1, ordering: .relaxed)
            run.pointee.lastFailure.store(RunFailure.lostInStream.rawValue, ordering: .relaxed)
            noteVerdict(client, .failed)
        }
        if let upstream = client.pointee.upstream { closeUpstream(upstream) }
        releaseLease(client)
        releasePassthrough(client)
        client.pointee.closes = true
        guard let ending = ending(client) else {
            countRequest(client, status: client.pointee.status)
            setActive(client, false)
            return resetClient(client)
        }
        let isAlive = ending.withUnsafeBufferPointer { bytes in
            send(client, ByteView(bytes.baseAddress!, bytes.count))
        }
        if isAlive { concludeResponse(client) }
    }

    /// The bytes that end the response with an error event; nil where only cutting tells the truth.
    private func ending(_ client: ClientPointer) -> [UInt8]? {
        guard client.pointee.isEventStream else { return nil }
        let event = ErrorEnvelope.event(
            .upstreamLost, dialect: client.pointee.dialect, sequence: client.pointee.sequence.newest + 1,
            responseID: client.pointee.responseID.bytes)
        switch client.pointee.bodyEnd {
        case .chunked where !client.pointee.head.isVersion10:
            return StreamEnding.chunked(client.pointee.framing, event: event)
        case .chunked:
            return StreamEnding.plain(isBetweenEvents: client.pointee.framing.isBetweenEvents, event: event)
        case .close:
            return StreamEnding.plain(isBetweenEvents: client.pointee.lastBytes == 0x0a0a, event: event)
        case .length, .none: return nil
        }
    }
}
