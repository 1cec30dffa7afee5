import Fleet
import Synchronization

extension EventLoop {
    /// Counts a request that is over.
    func countRequest(_ client: ClientPointer, status: Int) {
        let provider = client.pointee.providerNumber
        counters.pointee.count(provider: provider, route: client.pointee.route, status: status)
        measures.pointee.series(provider, client.pointee.route)?.pointee.duration.record(
            now &- client.pointee.startedAt)
        if client.pointee.promptTokens | client.pointee.completionTokens != 0 { countTokens(client) }
        if logsAccess { logAccess(client, status: status) }
    }

    private func countTokens(_ client: ClientPointer) {
        let provider = client.pointee.providerNumber
        client.pointee.prompted = (client.pointee.promptTokens, client.pointee.completionTokens)
        guard let tokens = measures.pointee.tokens(provider, model: client.pointee.modelNumber) else { return }
        Self.add(client.pointee.promptTokens, to: tokens.pointee.prompt)
        Self.add(client.pointee.completionTokens, to: tokens.pointee.completion)
        client.pointee.promptTokens = 0
        client.pointee.completionTokens = 0
    }

    private static func add(_ count: UInt32, to counter: borrowing Atomic<UInt64>) {
        counter.store(counter.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
    }

    /// Counts a client that has left before its answer was whole.
    func countAbort(_ client: ClientPointer) {
        if let provider = measures.pointee.provider(client.pointee.providerNumber) {
            LoopCounters.add(provider.pointee.aborts)
        }
    }

    /// Counts a request's waiting, or its end.
    func countWaiting(_ client: ClientPointer, _ change: Int) {
        guard let provider = measures.pointee.provider(client.pointee.providerNumber) else { return }
        let count = provider.pointee.queued.load(ordering: .relaxed)
        provider.pointee.queued.store(count &+ change, ordering: .relaxed)
    }

    /// Begins a request's measurements.
    @inline(__always) func beginMeasuring(_ client: ClientPointer) {
        client.pointee.startedAt = now
        requestNumber &+= 1
        client.pointee.isSampled = requestNumber % LoopMeasures.sampling == 0
    }

    /// The gateway's own part up to here, since the turn began.
    @inline(__always) func noteOwnTime(_ client: ClientPointer) {
        guard client.pointee.isSampled else { return }
        client.pointee.ownTime &+= Instant.now().nanoseconds &- now
    }

    /// The first byte of an answer is about to leave.
    @inline(__always) func noteFirstByte(_ client: ClientPointer) {
        measures.pointee.series(client.pointee.providerNumber, client.pointee.route)?.pointee.firstByte.record(
            now &- client.pointee.startedAt)
        client.pointee.firstByteAt = now
    }

    /// Measures a stream's chunks from now on.
    @inline(__always) func measureChunks(_ client: ClientPointer) {
        guard client.pointee.isEventStream else { return }
        client.pointee.chunkMeasure = measures.pointee.provider(client.pointee.providerNumber)
        client.pointee.chunkAt = now
    }

    /// Another read of a stream is on its way.
    @inline(__always) func noteChunk(_ client: ClientPointer, _ view: ByteView) {
        guard let measure = client.pointee.chunkMeasure else { return noteUsage(client, beginningOf: view) }
        measure.pointee.interChunk.record(now &- client.pointee.chunkAt)
        client.pointee.chunkAt = now
        // Of the other dialects any event may follow the one that tells: Anthropic's `message_stop` in the same read.
        if client.pointee.dialect != .openAI || Usage.mayTell(view) { noteUsage(client, view) }
    }

    /// Looks for tokens in bytes that are no stream's, or a stream's first ones.
    @inline(__always) private func noteUsage(_ client: ClientPointer, beginningOf view: ByteView) {
        if !client.pointee.isEventStream || client.pointee.dialect != .openAI || Usage.mayTell(view) {
            noteUsage(client, view)
        }
    }

    /// Looks for tokens in bytes of a body as they came, before its framing moves over them. What tells them may stand
    /// in two reads: the end of one that ends within an event, or within a body that is no stream, is kept.
    private func noteUsage(_ client: ClientPointer, _ view: ByteView) {
        let isCut = !Usage.endsEvent(view) && !(client.pointee.bodyEnd == .length && isLast(client, view))
        guard isCut || !client.pointee.peek.isEmpty else { return keepUsage(client, view) }
        guard client.pointee.bodyEnd == .chunked else { return followUsage(client, view) }
        var framing = client.pointee.framing
        let progress = framing.decode(view, to: scratch)
        followUsage(client, ByteView(UnsafePointer(scratch), progress.decoded))
    }

    private func isLast(_ client: ClientPointer, _ view: ByteView) -> Bool {
        view.count >= client.pointee.responseLeft
    }

    /// Looks for tokens in the payload that was held; its end may belong to what comes next.
    func notePeek(_ client: ClientPointer) {
        var peek = client.pointee.peek
        guard !peek.isEmpty else { return pool.give(&client.pointee.peek) }
        client.pointee.peek = Buffer()
        followUsage(client, peek.view)
        pool.give(&peek)
    }

    /// Looks for tokens in a stretch of payload and where it joins the one before, the end of which is kept.
    func followUsage(_ client: ClientPointer, _ payload: ByteView) {
        if payload.isEmpty { return }
        if !client.pointee.peek.isEmpty {
            pool.append(payload.slice(0, min(payload.count, Usage.seam)), to: &client.pointee.peek)
            keepUsage(client, client.pointee.peek.view)
        }
        if payload.count > Usage.seam || client.pointee.peek.isEmpty {
            keepUsage(client, payload)
            client.pointee.peek.clear()
            pool.append(payload.dropping(max(0, payload.count - Usage.seam)), to: &client.pointee.peek)
        } else {
            client.pointee.peek.drop(max(0, client.pointee.peek.count - Usage.seam))
        }
        if Usage.endsEvent(payload) { pool.give(&client.pointee.peek) }
    }

    /// Keeps the newest numbers of tokens.
    private func keepUsage(_ client: ClientPointer, _ view: ByteView) {
        guard let usage = Usage.find(view) else { return }
        if let prompt = usage.prompt { client.pointee.promptTokens = UInt32(clamping: prompt) }
        if let completion = usage.completion { client.pointee.completionTokens = UInt32(clamping: completion) }
    }

    /// A turn is over.
    @inline(__always) func noteTurn() {
        turnNumber &+= 1
        if turnNumber % LoopMeasures.sampling == 0 { measures.pointee.lag.record(Instant.now().nanoseconds &- now) }
    }
}
