/// The life of one request behind its head: what has been tried, what the client has seen, and so what may happen
/// when something goes wrong. Pure: the loop tells it events and does what it says.
///
/// A request moves to another try only while no byte of a response has reached the client.
struct Exchange: Equatable {
    /// What kind of request it is, as far as trying again goes.
    enum Kind: UInt8 {
        /// Chosen by model: may be tried once on another instance.
        case routed
        /// Passed through: tried again only if nothing was sent, or on a stale connection.
        case passthrough
        /// Asks each instance in turn until one knows the id.
        case inquiry
        /// Chosen by model, with a body that passes through: tried again only if nothing was sent.
        case upload
    }

    /// Why an answer may be tried again.
    enum Reason: UInt8, CaseIterable {
        case refused, timedOut, lost, busy, engineDead, unpublished, aborted, firstEventError, notFound

        /// As metrics name it.
        var label: String {
            switch self {
            case .refused: return "refused"
            case .timedOut: return "timed_out"
            case .lost: return "lost"
            case .busy: return "busy"
            case .engineDead: return "engine_dead"
            case .unpublished: return "unpublished"
            case .aborted: return "aborted"
            case .firstEventError: return "first_event_error"
            case .notFound: return "not_found"
            }
        }

        /// Whether it speaks against the instance, and not against the request or the moment.
        var isInstancesFault: Bool {
            switch self {
            case .refused, .timedOut, .lost, .engineDead, .unpublished: return true
            case .busy, .aborted, .firstEventError, .notFound: return false
            }
        }
    }

    /// What happened.
    enum Event: Equatable {
        /// The connection could not be made.
        case connectFailed(timedOut: Bool)
        /// The connection ended before the first body byte. `anyByte`: some byte of the response had come.
        case lost(anyByte: Bool)
        /// A whole or partial answer that need not be the last word.
        case answer(Reason)
        /// What was held is about to leave.
        case commit
        /// The connection ended in the middle of the body that the client is already reading.
        case lostAfterCommit
        /// The other try was not to be had: no other instance, or no budget.
        case refusedRetry(Reason)
    }

    /// What to do.
    enum Action: Equatable {
        /// Again on a fresh connection to the same instance.
        case retryFresh
        /// Again on another instance; `exempt` ones need no budget.
        case retryElsewhere(Reason, exempt: Bool)
        /// Give the client what the server said.
        case passOn
        /// Answer with an error of our own.
        case fail(ErrorCode)
        /// End the stream with the dialect's error event, or cut.
        case endStream
        /// Nothing.
        case proceed
    }

    /// What kind of request.
    var kind = Kind.routed
    /// Whether it continues a response of which nobody remembers the maker: an instance that does not know it is not the
    /// last word, as in an inquiry.
    var asksInTurn = false
    /// Whether the present connection had served before.
    var isReused = false
    /// Whether any byte of the request has left on the present connection.
    var hasSent = false
    /// Whether the client has seen a byte.
    private(set) var isCommitted = false
    /// Whether the one other try on a fresh connection has been used.
    private(set) var hasRetriedFresh = false
    /// Whether the one other instance has been used.
    private(set) var hasRetriedElsewhere = false
    /// How many engines have died with it in flight, as far as a connection's end or the server's own word tells.
    private(set) var deaths: UInt8 = 0

    /// Whether it may be what kills engines.
    var isSuspect: Bool { deaths >= 2 && kind != .inquiry }

    /// A request that nothing has happened to.
    init() {}

    /// Decides.
    mutating func handle(_ event: Event) -> Action {
        if isCommitted {
            guard event == .lostAfterCommit else { return .proceed }
            deaths &+= 1
            return .endStream
        }
        switch event {
        case .commit:
            isCommitted = true
            return .proceed
        case .lostAfterCommit:
            deaths &+= 1
            return .endStream
        case .connectFailed(let timedOut):
            return elsewhere(timedOut ? .timedOut : .refused)
        case .lost(let anyByte):
            // A kept connection that the server closed meanwhile says nothing about the server.
            if isReused, !anyByte, !hasRetriedFresh {
                hasRetriedFresh = true
                return .retryFresh
            }
            deaths &+= 1
            if kind == .passthrough || kind == .upload, hasSent { return .fail(.upstreamLost) }
            return elsewhere(.lost)
        case .answer(let reason):
            if reason == .engineDead { deaths &+= 1 }
            if reason == .notFound { return .retryElsewhere(reason, exempt: true) }
            if kind != .routed || hasRetriedElsewhere { return .passOn }
            return elsewhere(reason)
        case .refusedRetry(let reason): return final(reason)
        }
    }

    private mutating func elsewhere(_ reason: Reason) -> Action {
        // An inquiry goes on to the next whatever became of it at this one: there are only so many.
        guard !hasRetriedElsewhere || kind == .inquiry else { return final(reason) }
        hasRetriedElsewhere = true
        let exempt: Bool
        switch reason {
        case .refused, .lost, .engineDead, .unpublished, .notFound: exempt = true
        case .timedOut, .busy, .aborted, .firstEventError: exempt = false
        }
        return .retryElsewhere(reason, exempt: exempt)
    }

    private func final(_ reason: Reason) -> Action {
        switch reason {
        case .refused: return .fail(.modelUnavailable)
        case .timedOut: return .fail(.upstreamTimeout)
        case .lost: return .fail(.upstreamLost)
        default: return .passOn
        }
    }
}
