import Glibc
import Synchronization

extension EventLoop {
    /// Something happened on a client's socket.
    @inline(__always) func onClient(_ client: ClientPointer, _ events: UInt32) {
        if events & (Poller.error | Poller.hangUp) != 0 { return clientGone(client) }
        if events & Poller.peerFinished != 0 { client.pointee.isFinished = true }
        // TLS may have waited for either direction's sake.
        let isEither = client.pointee.socket.isTLS && events & (Poller.readable | Poller.writable) != 0
        if isEither || events & (Poller.readable | Poller.peerFinished) != 0 { client.pointee.isReadable = true }
        if isEither || events & Poller.writable != 0, !client.pointee.outbound.isEmpty {
            flush(client)
            if client.pointee.phase == .free { return }
        }
        if client.pointee.isReadable { process(client) }
        // A client that has finished sending while a server works for it counts as gone: close(2) and a half-closed
        // socket look the same from here, and the first is common, the second unknown among HTTP clients. Working on
        // for nobody would cost a GPU.
        if client.pointee.isFinished, client.pointee.isInFlight { clientGone(client) }
    }

    /// Works through what a client has sent, request by request, until more is needed or a request is under way.
    func process(_ client: ClientPointer) {
        guard !client.pointee.isProcessing else { return }
        client.pointee.isProcessing = true
        defer { client.pointee.isProcessing = false }
        var requests = 0
        while true {
            switch client.pointee.phase {
            case .head:
                guard client.pointee.outbound.isEmpty else { return }
                if !client.pointee.inbound.isEmpty, readHead(client) {
                    requests += 1
                    if requests < 32 { continue }
                    // What is left of a body may have come already: nothing would tell of it again.
                    if client.pointee.phase == .head || client.pointee.phase == .body { deferClient(client) }
                    return
                }
                guard client.pointee.phase == .head, receiveHead(client) else { return }
            case .body: guard receiveBody(client) else { return }
            case .lingering: return drainLingering(client)
            case .dispatch:
                if let upload = upload(client) { sendUpload(client, upload) }
                return
            default: return
            }
        }
    }

    private func deferClient(_ client: ClientPointer) {
        guard !client.pointee.isDeferred else { return }
        client.pointee.isDeferred = true
        deferred.append(client.pointee.handle)
    }

    /// Reads more of a head; false when there is no more now.
    private func receiveHead(_ client: ClientPointer) -> Bool {
        guard client.pointee.isReadable else {
            if client.pointee.inbound.isEmpty { pool.give(&client.pointee.inbound) }
            return false
        }
        if !client.pointee.inbound.hasMemory {
            client.pointee.inbound = pool.take(BufferPool.sizes.middle)
        } else if client.pointee.inbound.room == 0 {
            guard reserveHead(client) else {
                refuseHead(client, .headTooLarge, ErrorCode.headTooLarge.message)
                return false
            }
            pool.reserve(&client.pointee.inbound, 4096)
        }
        let room = client.pointee.inbound.room
        switch client.pointee.socket.read(into: client.pointee.inbound.tail, room) {
        case .bytes(let count):
            client.pointee.inbound.wrote(count)
            if count < room, !client.pointee.isFinished, !client.pointee.socket.isTLS {
                client.pointee.isReadable = false
            }
            if !client.pointee.hasBegun {
                client.pointee.hasBegun = true
                wheel.set(client, now &+ patience.head)
            }
            return true
        case .wouldBlock:
            client.pointee.isReadable = false
            if client.pointee.inbound.isEmpty { pool.give(&client.pointee.inbound) }
            return false
        case .ended, .failed:
            closeClient(client)
            return false
        }
    }

    /// Sends bytes to the client, keeping what it does not take; false when the client is gone.
    @inline(__always) func send(_ client: ClientPointer, _ view: ByteView) -> Bool {
        if view.isEmpty { return true }
        if !client.pointee.outbound.isEmpty {
            pool.append(view, to: &client.pointee.outbound)
            return true
        }
        switch client.pointee.socket.write(view) {
        case .bytes(let count):
            if count < view.count { stash(client, view.dropping(count)) }
            return true
        case .wouldBlock:
            stash(client, view)
            return true
        case .ended, .failed:
            clientGone(client)
            return false
        }
    }

    /// Keeps what the client did not take.
    func stash(_ client: ClientPointer, _ view: ByteView) {
        pool.append(view, to: &client.pointee.outbound)
        wheel.set(client, deadline(limits.slowReaderTimeoutMilliseconds))
    }

    /// Sends what waits for the client.
    func flush(_ client: ClientPointer) {
        while !client.pointee.outbound.isEmpty {
            switch client.pointee.socket.write(client.pointee.outbound.view) {
            case .bytes(let count):
                client.pointee.outbound.drop(count)
                wheel.set(client, deadline(limits.slowReaderTimeoutMilliseconds))
            case .wouldBlock: return
            case .ended, .failed: return clientGone(client)
            }
        }
        pool.give(&client.pointee.outbound)
        switch client.pointee.phase {
        case .flushing: nextRequest(client)
        case .relaying:
            wheel.set(client, deadline(limits.streamIdleTimeoutMilliseconds))
            if let upstream = client.pointee.upstream, upstream.pointee.isReadable { readUpstream(upstream) }
        case .head: process(client)
        default: break
        }
    }

    /// The moment so many milliseconds from now; none for 0.
    @inline(__always) func deadline(_ milliseconds: Int) -> UInt64 {
        milliseconds <= 0 ? .max : now &+ UInt64(milliseconds) &* 1_000_000
    }

    /// The response is whole on our side: counts it, and goes on when the client has it.
    func concludeResponse(_ client: ClientPointer) {
        countRequest(client, status: client.pointee.status)
        setActive(client, false)
        client.pointee.phase = .flushing
        if client.pointee.outbound.isEmpty {
            nextRequest(client)
        } else {
            wheel.set(client, deadline(limits.slowReaderTimeoutMilliseconds))
        }
    }

    /// Counts the request among those under way, or not any more.
    @inline(__always) func setActive(_ client: ClientPointer, _ isActive: Bool) {
        guard client.pointee.isActive != isActive else { return }
        client.pointee.isActive = isActive
        let active = counters.pointee.active.load(ordering: .relaxed)
        counters.pointee.active.store(active &+ (isActive ? 1 : -1), ordering: .relaxed)
    }

    /// The client has its response: the next request, or the end.
    private func nextRequest(_ client: ClientPointer) {
        releaseBody(client)
        if client.pointee.closes {
            // Unread bytes at close(2) would make it a reset, and the client might lose the response.
            let isCut = upload(client).map { !$0.isWhole } ?? false
            if client.pointee.isReadable || isCut || client.pointee.requestLength > client.pointee.inbound.count {
                client.pointee.socket.finish()
                client.pointee.phase = .lingering
                pool.give(&client.pointee.inbound)
                wheel.set(client, now &+ patience.linger)
                drainLingering(client)
            } else {
                closeClient(client)
            }
            return
        }
        client.pointee.inbound.drop(min(client.pointee.requestLength, client.pointee.inbound.count))
        client.pointee.requestLength = 0
        if client.pointee.inbound.isEmpty { pool.give(&client.pointee.inbound) }
        releasePassthrough(client)
        releaseUpload(client)
        client.pointee.forgetRequest()
        client.pointee.phase = .head
        wheel.set(client, now &+ patience.idle)
        if client.pointee.isFinished, client.pointee.inbound.isEmpty, !client.pointee.isReadable {
            return closeClient(client)
        }
        if !client.pointee.isProcessing, client.pointee.isReadable || !client.pointee.inbound.isEmpty {
            process(client)
        }
    }

    /// Throws away what a client still sends behind its last request.
    private func drainLingering(_ client: ClientPointer) {
        for _ in 0..<16 {
            switch client.pointee.socket.read(into: chunk, Self.readSize) {
            case .bytes: continue
            case .wouldBlock:
                client.pointee.isReadable = false
                return
            case .ended, .failed: return closeClient(client)
            }
        }
        closeClient(client)
    }

    /// The client has left: its server is told at once by closing.
    func clientGone(_ client: ClientPointer) {
        if client.pointee.isInFlight || client.pointee.phase == .body {
            countAbort(client)
            countRequest(client, status: client.pointee.exchange.isCommitted ? client.pointee.status : 499)
        }
        closeClient(client)
    }

    /// Closes a client's connection and everything that hangs on it.
    func closeClient(_ client: ClientPointer) {
        guard client.pointee.phase != .free else { return }
        setActive(client, false)
        if client.pointee.phase == .queued { leaveQueue(client) }
        if let upstream = client.pointee.upstream { closeUpstream(upstream) }
        releaseLease(client)
        releaseBody(client)
        releasePassthrough(client)
        releaseUpload(client)
        client.pointee.socket.close(isClean: !client.pointee.isInFlight)
        wheel.remove(client)
        pool.give(&client.pointee.inbound)
        pool.give(&client.pointee.outbound)
        pool.give(&client.pointee.upstreamHead)
        pool.give(&client.pointee.held)
        pool.give(&client.pointee.peek)
        client.pointee.phase = .free
        closedClients.append(client)
    }

    /// Closes so that the client cannot take it for the response's proper end.
    func resetClient(_ client: ClientPointer) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            client.pointee.socket.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        closeClient(client)
    }

    /// A deadline has passed.
    func expire(_ client: ClientPointer) {
        switch client.pointee.phase {
        case .free: break
        case .head:
            if client.pointee.outbound.isEmpty, client.pointee.hasBegun, !client.pointee.inbound.isEmpty {
                // Of the request before this one nothing counts any more.
                refuseHead(client, .requestTimeout, ErrorCode.requestTimeout.message)
            } else {
                closeClient(client)
            }
        case .body: refuse(client, .requestTimeout)
        case .queued:
            leaveQueue(client)
            releasePassthrough(client)
            refuse(client, .queueTimeout)
        case .dispatch:
            if let upstream = client.pointee.upstream, upstream.pointee.phase == .connecting {
                perform(client, client.pointee.exchange.handle(.connectFailed(timedOut: true)), .connectTimeout)
            } else if upload(client)?.waitsForClient == true {
                failExchange(client, .requestTimeout, .none)
            } else {
                failExchange(client, .upstreamTimeout, .firstByteTimeout)
            }
        case .awaiting: failExchange(client, .firstByteTimeout, .firstByteTimeout)
        case .held:
            if client.pointee.hasBodyByte {
                commit(client)
            } else {
                failExchange(client, .firstByteTimeout, .firstByteTimeout)
            }
        case .relaying:
            if client.pointee.outbound.isEmpty {
                upstreamLost(client)
            } else {
                cutSlowReader(client)
            }
        case .flushing: cutSlowReader(client)
        case .lingering: closeClient(client)
        }
    }

    private func cutSlowReader(_ client: ClientPointer) {
        LoopCounters.add(counters.pointee.slowReaders)
        if client.pointee.phase == .relaying {
            countRequest(client, status: client.pointee.status)
        }
        resetClient(client)
    }
}
