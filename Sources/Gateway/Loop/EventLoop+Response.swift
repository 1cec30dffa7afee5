import Glibc
import Synchronization

extension EventLoop {
    /// Reads what a server has sent, as long as its client takes it.
    func readUpstream(_ upstream: UpstreamPointer) {
        guard let client = upstream.pointee.client else { return }
        for _ in 0..<16 {
            // Backpressure: what the client does not take is not read.
            guard client.pointee.outbound.isEmpty || client.pointee.phase != .relaying else { return }
            switch upstream.pointee.socket.read(into: chunk, Self.readSize) {
            case .bytes(let count):
                if count < Self.readSize, !upstream.pointee.isFinished, !upstream.pointee.socket.isTLS {
                    upstream.pointee.isReadable = false
                }
                received(client, upstream, ByteView(UnsafePointer(chunk), count))
            case .wouldBlock:
                upstream.pointee.isReadable = false
                return
            case .ended: return upstreamEnded(client, upstream, isClean: true)
            case .failed: return upstreamEnded(client, upstream, isClean: false)
            }
            guard upstream.pointee.client == client, upstream.pointee.phase == .busy, upstream.pointee.isReadable
            else { return }
        }
        guard !upstream.pointee.isDeferred else { return }
        upstream.pointee.isDeferred = true
        deferred.append(upstream.pointee.handle)
    }

    /// Bytes of a response.
    @inline(__always) private func received(_ client: ClientPointer, _ upstream: UpstreamPointer, _ view: ByteView) {
        switch client.pointee.phase {
        case .relaying: relay(client, view)
        case .held: hold(client, view)
        case .awaiting, .dispatch: receivedHead(client, upstream, view)
        default: closeUpstream(upstream)
        }
    }

    /// Bytes of a head, or the first ones of it.
    private func receivedHead(_ client: ClientPointer, _ upstream: UpstreamPointer, _ view: ByteView) {
        var view = view
        let gathers = !upstream.pointee.partial.isEmpty
        if gathers {
            pool.append(view, to: &upstream.pointee.partial)
            view = upstream.pointee.partial.view
        }
        headerOwner = 0
        while true {
            switch ResponseHeadParser.parse(view, into: headers, toHead: client.pointee.head.method == .head) {
            case .incomplete:
                if !gathers { return pool.append(view, to: &upstream.pointee.partial) }
                upstream.pointee.partial.drop(upstream.pointee.partial.count - view.count)
                return
            case .bad: return failExchange(client, .upstreamError, .nonsense)
            case .complete(let head) where head.status == 101:
                return failExchange(client, .upstreamError, .nonsense)
            case .complete(let head) where head.status < 200:
                // Nothing else holds back a server that sends these for ever: they are read and thrown away.
                upstream.pointee.interim &+= 1
                if upstream.pointee.interim > Self.interimLimit {
                    return failExchange(client, .upstreamError, .nonsense)
                }
                view = view.dropping(head.length)
                if view.isEmpty { return upstream.pointee.partial.clear() }
            case .complete(let head):
                var partial = upstream.pointee.partial
                upstream.pointee.partial = Buffer()
                begin(client, head, view)
                let rest = view.dropping(head.length)
                if !rest.isEmpty, client.pointee.upstream == upstream {
                    switch client.pointee.phase {
                    case .held: hold(client, rest)
                    case .relaying: relay(client, rest)
                    default: break
                    }
                }
                pool.give(&partial)
                return
            }
        }
    }

    /// The server's head is here: builds the client's, and decides whether to hold it.
    private func begin(_ client: ClientPointer, _ head: ResponseHead, _ view: ByteView) {
        client.pointee.status = head.status
        client.pointee.bodyEnd = head.bodyEnd
        client.pointee.responseLeft = max(0, head.contentLength)
        client.pointee.isEventStream = head.isEventStream
        // A server that answers before it has the whole request will not take another on this connection.
        client.pointee.upstreamCloses =
            client.pointee.upstreamCloses || head.closes || client.pointee.phase == .dispatch
        client.pointee.framing = ChunkFraming()
        client.pointee.hasBodyByte = false
        client.pointee.showsLife = head.status < 300 && asksEngine(client)
        // What is left of an upload will not be read: nothing behind it can be a request.
        if client.pointee.phase == .dispatch, client.pointee.upload >= 0 { client.pointee.closes = true }
        if head.status == 401 || head.status == 403 { return failExchange(client, .upstreamAuth, .rejectedKey) }
        writeClientHead(client, head, view)
        client.pointee.phase = .held
        let kind = client.pointee.exchange.kind
        // Who serves no text at all says 501.
        if kind == .inquiry && (head.status == 404 || head.status == 501)
            || head.status == 404 && client.pointee.exchange.asksInTurn
        {
            return perform(client, client.pointee.exchange.handle(.answer(.notFound)), .none)
        }
        if head.bodyEnd == .none { return judgeWithoutBody(client) }
        if kind != .routed { commit(client) }
    }

    private func judgeWithoutBody(_ client: ClientPointer) {
        if client.pointee.exchange.kind == .routed, client.pointee.status >= 500 {
            return perform(client, verdictOnServerError(client, ByteView("")), .none)
        }
        commit(client)
    }

    /// The head for the client: the server's own fields as they came, but for those that stop here.
    private func writeClientHead(_ client: ClientPointer, _ head: ResponseHead, _ view: ByteView) {
        let isOld = client.pointee.head.isVersion10
        if head.bodyEnd == .close { client.pointee.closes = true }
        if retireBy != nil { client.pointee.closes = true }
        pool.give(&client.pointee.held)
        var out = pool.take(max(head.length + 2048, BufferPool.sizes.middle))
        out.append(ByteView("HTTP/1.1 "))
        out.append(view.slice(9, head.fieldsStart))
        var from = -1
        var hasRetryAfter = false
        for position in 0..<head.fieldCount {
            let field = headers[position]
            if field.name == .retryAfter { hasRetryAfter = true }
            // What a page may read is the gateway's to say where it says anything.
            let isOther = client.pointee.grant != 0 && field.name == .other
            let stops =
                field.name.stopsFromServer || field.named
                || (isOther && headers.name(position, in: view).isCrossOrigin)
            if stops {
                if from >= 0 { out.append(view.slice(from, Int(field.nameStart))) }
                from = -1
            } else if from < 0 {
                from = Int(field.nameStart)
            }
        }
        if from >= 0 { out.append(view.slice(from, head.length - 2)) }
        if head.bodyEnd == .chunked, !isOld { out.append(ByteView("transfer-encoding: chunked\r\n")) }
        if head.status == 503 || head.status == 429, !hasRetryAfter { out.append(ByteView("retry-after: 1\r\n")) }
        if client.pointee.grant != 0 {
            let lines = crossOriginLines(client)
            lines.withUnsafeBufferPointer { if let base = $0.baseAddress { out.append(ByteView(base, $0.count)) } }
        }
        appendIDs(client, instanceName(client), to: &out)
        out.append(ByteView("\r\n"))
        client.pointee.heldHeadLength = out.count
        client.pointee.held = out
    }

    /// The name of the instance that the request is on: also of one that the present table has dropped.
    @inline(__always) func instanceName(_ client: ClientPointer) -> ByteView? { client.pointee.run?.pointee.label }

    private func asksEngine(_ client: ClientPointer) -> Bool {
        guard client.pointee.route == .passthrough else { return client.pointee.route.asksEngine }
        return path(client)?.asksEngine ?? false
    }

    /// Notes, for the supervisor, that the run's engine has made a byte, unless these are what the front end sends of a
    /// stream while its engine is silent. The head is never such a sign: vLLM sends it at once.
    @inline(__always) func noteLife(_ client: ClientPointer, _ view: ByteView) {
        guard client.pointee.showsLife, let run = client.pointee.run else { return }
        if client.pointee.isEventStream {
            if LifeSign.isSilence(view, isChunked: client.pointee.bodyEnd == .chunked) { return }
            if client.pointee.dialect == .responses, client.pointee.sequence.newest < LifeSign.openingEvents,
                LifeSign.isOpening(view)
            {
                return
            }
        }
        run.pointee.lines[index].lastByte.store(now, ordering: .relaxed)
    }

    /// First bytes of a body: judged, and kept until there is something to say.
    private func hold(_ client: ClientPointer, _ view: ByteView) {
        let isFirst = !client.pointee.hasBodyByte
        client.pointee.hasBodyByte = true
        // The payload of these bytes, decoded beside; the framing itself moves only when bytes are kept or leave.
        var framing = client.pointee.framing
        var payload = view
        var isWhole = false
        switch client.pointee.bodyEnd {
        case .chunked:
            let progress = framing.decode(view, to: scratch)
            payload = ByteView(UnsafePointer(scratch), progress.decoded)
            isWhole = framing.isEnded
            if framing.isBad { return failExchange(client, .upstreamError, .nonsense) }
        case .length:
            payload = view.slice(0, min(view.count, client.pointee.responseLeft))
            isWhole = payload.count == client.pointee.responseLeft
        case .close, .none: break
        }
        if client.pointee.route == .responses { noteResponse(client, payload) }
        let limit = Self.holdLimit
        let heldBody = client.pointee.held.count - client.pointee.heldHeadLength
        guard isFirst || heldBody + view.count <= limit else { return commit(client, with: view) }
        if !isFirst {
            pool.append(payload, to: &client.pointee.peek)
            payload = client.pointee.peek.view
            // The id may have come in two pieces.
            if client.pointee.route == .responses { noteResponse(client, payload) }
        }
        switch judge(client, payload, isWhole: isWhole) {
        case .proceed:
            if view.count > limit { return commit(client, with: view) }
            if isFirst { pool.append(payload, to: &client.pointee.peek) }
            keepHeld(client, view)
            if isFirst { wheel.set(client, now &+ patience.hold) }
        case .passOn:
            commit(client, with: view)
        case let action:
            // The bytes are kept, in case that the other try is not to be had.
            keepHeld(client, view)
            perform(client, action, .engineDead)
        }
    }

    /// Moves bytes of the body into what is held, following their framing.
    private func keepHeld(_ client: ClientPointer, _ view: ByteView) {
        if client.pointee.dialect == .responses { noteSequence(client, view) }
        switch client.pointee.bodyEnd {
        case .chunked:
            if client.pointee.head.isVersion10 {
                let progress = client.pointee.framing.decode(view, to: scratch)
                pool.append(ByteView(UnsafePointer(scratch), progress.decoded), to: &client.pointee.held)
            } else {
                let progress = client.pointee.framing.follow(view)
                pool.append(view.slice(0, progress.relay), to: &client.pointee.held)
                if progress.owesLineEnd { pool.append(ByteView("\r\n"), to: &client.pointee.held) }
                if client.pointee.framing.isEnded, progress.consumed < view.count {
                    client.pointee.upstreamCloses = true
                }
            }
        case .length:
            let count = min(view.count, client.pointee.responseLeft)
            if count < view.count { client.pointee.upstreamCloses = true }
            client.pointee.responseLeft -= count
            pool.append(view.slice(0, count), to: &client.pointee.held)
        case .close, .none:
            noteLast(client, view)
            pool.append(view, to: &client.pointee.held)
        }
    }

    /// What to do with a response of which this payload is known: `.proceed` waits for more, `.passOn` lets it leave.
    private func judge(_ client: ClientPointer, _ payload: ByteView, isWhole: Bool) -> Exchange.Action {
        if client.pointee.status >= 500 {
            guard isWhole else { return .proceed }
            return verdictOnServerError(client, payload)
        }
        if client.pointee.isEventStream, client.pointee.status == 200 {
            switch StreamStart.judge(payload) {
            case .undecided: return isWhole ? .passOn : .proceed
            case .content: return .passOn
            case .error:
                if StreamStart.isEngineDead(payload) { return verdictOnDeath(client) }
                return client.pointee.exchange.handle(.answer(.firstEventError))
            case .aborted: return client.pointee.exchange.handle(.answer(.aborted))
            }
        }
        guard isWhole else { return .proceed }
        if client.pointee.status == 200, StreamStart.isEmptyAbort(payload) {
            return client.pointee.exchange.handle(.answer(.aborted))
        }
        return .passOn
    }

    private func verdictOnServerError(_ client: ClientPointer, _ body: ByteView) -> Exchange.Action {
        if client.pointee.status == 500, StreamStart.isEngineDead(body) { return verdictOnDeath(client) }
        if let run = client.pointee.run, !run.pointee.published.load(ordering: .acquiring) {
            return client.pointee.exchange.handle(.answer(.unpublished))
        }
        return client.pointee.status == 503 ? client.pointee.exchange.handle(.answer(.busy)) : .passOn
    }

    private func verdictOnDeath(_ client: ClientPointer) -> Exchange.Action {
        let action = client.pointee.exchange.handle(.answer(.engineDead))
        if action == .passOn, client.pointee.exchange.isSuspect { logSuspect(client, .engineDead) }
        return action
    }

    /// Remembers who made a response.
    private func noteResponse(_ client: ClientPointer, _ payload: ByteView) {
        guard client.pointee.responseID.count == 0, let at = payload.firstIndex(of: "\"resp_") else { return }
        guard let end = payload.firstIndex(of: 0x22, from: at + 1) else { return }
        let id = payload.slice(at + 1, end)
        guard id.count <= ResponseID.capacity, let name = instanceName(client) else { return }
        client.pointee.responseID = ResponseID(id)
        shared.responses.remember(id.array, instance: name.array)
    }
}
