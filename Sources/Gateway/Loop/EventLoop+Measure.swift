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
        guard let measure = client.pointee.chunkMeasure else { return }
        measure.pointee.interChunk.record(now &- client.pointee.chunkAt)
        client.pointee.chunkAt = now
        if Usage.mayEnd(view) { noteUsage(client, view) }
    }

    /// Keeps the newest numbers of tokens.
    func noteUsage(_ client: ClientPointer, _ view: ByteView) {
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
