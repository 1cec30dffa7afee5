import Fleet

/// Finds out which real request a server takes, and remembers it for its canaries.
///
/// Kinds are tried in the order of ``WarmupRequest``. A route that is not there (404, 405, 501) leads to the next; so does
/// a 400, which shows that the server lives, but a kind that makes a token shows more. Where no kind does, the first
/// that answered 400 is remembered.
public struct WarmupPlan: Sendable, Hashable {
    /// The kind to ask with now; nil when there is none to ask with.
    public private(set) var current: WarmupRequest?
    /// The kind whose answer settled it; reused until it fails to exist.
    public private(set) var remembered: WarmupRequest?
    /// Whether the remembered kind makes the engine work; false where only a 400 came back.
    public private(set) var provesEngine = false

    private var refused: WarmupRequest?

    /// A plan that knows nothing yet.
    public init() { current = WarmupRequest.allCases.first }

    /// The request to send for these models; nil when no kind is left. A base model is asked before an adapter.
    public func request(for models: [ModelCard]) -> (path: String, body: [UInt8])? {
        guard let current, let model = models.first(where: { $0.parent == nil }) ?? models.first else { return nil }
        return (current.path, current.body(model: model.id))
    }

    /// Takes the outcome of the ``current`` request.
    public mutating func take(_ outcome: HTTPProbeResult.Outcome) -> WarmupVerdict {
        guard let kind = current else { return .nothingToAsk }
        switch outcome {
        case .failure(let failure): return .unanswered(failure)
        case .answer(let status, let body): return take(status: status, body: body, of: kind)
        }
    }

    private mutating func take(status: Int, body: [UInt8], of kind: WarmupRequest) -> WarmupVerdict {
        let said = ModelList.message(in: body)
        let suffix = said.map { ": \($0)" } ?? ""
        switch status {
        case 200:
            let verdict = WarmupPlan.read(body, of: kind)
            if verdict == .warm {
                remembered = kind
                provesEngine = true
            }
            return verdict
        case 401, 403: return .unauthorized("answers \(status) to \(kind.path)\(suffix)")
        case 404, 405, 501: return advance(from: kind)
        case 429, 503: return .busy("answers \(status) to \(kind.path)\(suffix)")
        case 400..<500:
            if refused == nil { refused = kind }
            if provesEngine || remembered == kind { return .alive }
            return advance(from: kind)
        default:
            if let said, WarmupPlan.isEngineDeath(said) { return .dead("answers \(status) to \(kind.path): \(said)") }
            return .failing("answers \(status) to \(kind.path)\(suffix)")
        }
    }

    private mutating func advance(from kind: WarmupRequest) -> WarmupVerdict {
        let kinds = WarmupRequest.allCases
        if remembered != nil {
            // What it took before is gone: it serves another model now. From the beginning.
            remembered = nil
            provesEngine = false
            refused = nil
            current = kinds.first
            return .tryNext
        }
        if let index = kinds.firstIndex(of: kind), index + 1 < kinds.count {
            current = kinds[index + 1]
            return .tryNext
        }
        remembered = refused
        current = refused
        return refused == nil ? .nothingToAsk : .alive
    }

    /// vLLM's words for a dead engine, in an error of a request or of its log.
    static func isEngineDeath(_ text: String) -> Bool {
        text.contains("EngineCore encountered an issue") || text.contains("EngineDeadError")
            || text.contains("Engine core proc") && text.contains("died")
    }

    /// Reads an answer of status 200: whether it holds what was asked for.
    private static func read(_ body: [UInt8], of kind: WarmupRequest) -> WarmupVerdict {
        guard let root = JSONText.parse(body), root.isObject else {
            return .failing("its answer to \(kind.path) is not JSON")
        }
        if let error = root["error"], !error.isNull {
            let said = ModelList.message(in: body) ?? "an error"
            if isEngineDeath(said) { return .dead("answers \(kind.path) with: \(said)") }
            return .failing("answers \(kind.path) with: \(said)")
        }
        switch kind {
        case .completions, .chat:
            guard let choice = root["choices"]?.elements?.first else {
                return .failing("its answer to \(kind.path) has no choice")
            }
            let text = choice["text"]?.string ?? choice["message"]?["content"]?.string ?? ""
            let tokens = root["usage"]?["completion_tokens"]?.number ?? 0
            if choice["finish_reason"]?.string == "abort", text.isEmpty, tokens == 0 { return .aborted }
            return .warm
        case .embeddings, .pooling, .score, .classify:
            guard let data = root["data"]?.elements, !data.isEmpty else {
                return .failing("its answer to \(kind.path) has no data")
            }
            return .warm
        }
    }
}
