/// Whose words a client expects in an error.
enum Dialect: UInt8 {
    /// `{"error":{"message","type","param","code"}}`; streams of `data:` lines.
    case openAI
    /// The same envelope; streams of typed events that end in one terminal event.
    case responses
    /// `{"type":"error","error":{…}}`; streams of typed events.
    case anthropic
}

/// What a route's request carries.
enum BodyKind: UInt8 {
    /// Nothing; a body that comes is not read.
    case none
    /// A JSON object with a `model`.
    case json
    /// `multipart/form-data` with a field `model`.
    case multipart
    /// Anything: passed on, and looked into when it is JSON.
    case any
}

/// A route of the gateway: the closed set that metrics are labelled with.
enum Route: UInt8, CaseIterable {
    case chatCompletions, completions, responses, embeddings, messages, countTokens
    case rerankV1, rerank, rerankV2, scoreV1, score, pooling, classify, tokenize, detokenize
    case transcriptions, translations
    case models, model, response, responseCancel, passthrough, health, ready, realtime, unknown

    /// The route's pattern: the label in metrics, and for routed requests the path at the server.
    var pattern: StaticString {
        switch self {
        case .chatCompletions: return "/v1/chat/completions"
        case .completions: return "/v1/completions"
        case .responses: return "/v1/responses"
        case .embeddings: return "/v1/embeddings"
        case .messages: return "/v1/messages"
        case .countTokens: return "/v1/messages/count_tokens"
        case .rerankV1: return "/v1/rerank"
        case .rerank: return "/rerank"
        case .rerankV2: return "/v2/rerank"
        case .scoreV1: return "/v1/score"
        case .score: return "/score"
        case .pooling: return "/pooling"
        case .classify: return "/classify"
        case .tokenize: return "/tokenize"
        case .detokenize: return "/detokenize"
        case .transcriptions: return "/v1/audio/transcriptions"
        case .translations: return "/v1/audio/translations"
        case .models: return "/v1/models"
        case .model: return "/v1/models/{id}"
        case .response: return "/v1/responses/{id}"
        case .responseCancel: return "/v1/responses/{id}/cancel"
        case .passthrough: return "/p/"
        case .health: return "/health"
        case .ready: return "/ready"
        case .realtime: return "/v1/realtime"
        case .unknown: return "-"
        }
    }

    /// What its request carries.
    var body: BodyKind {
        switch self {
        case .models, .model, .response, .responseCancel, .health, .ready, .realtime, .unknown: return .none
        case .transcriptions, .translations: return .multipart
        case .passthrough: return .any
        default: return .json
        }
    }

    /// Whether its answer is the engine's work; the others' vLLM's front end makes by itself, whatever has become of the
    /// engine. Of a passthrough its path tells.
    var asksEngine: Bool {
        switch self {
        case .chatCompletions, .completions, .responses, .embeddings, .messages, .rerankV1, .rerank, .rerankV2,
            .scoreV1, .score, .pooling, .classify, .transcriptions, .translations:
            return true
        default: return false
        }
    }

    /// Its dialect of errors.
    var dialect: Dialect {
        switch self {
        case .messages, .countTokens: return .anthropic
        case .responses: return .responses
        default: return .openAI
        }
    }

    /// Whether it is answered without a key.
    var isOpen: Bool { self == .health || self == .ready }

    /// The methods it takes, for `Allow`; nil for routes that take any.
    var allow: StaticString? {
        switch self {
        case .models, .model, .response, .health, .ready: return "GET, HEAD"
        case .passthrough, .unknown, .realtime: return nil
        default: return "POST"
        }
    }

    /// Whether it takes a method.
    func takes(_ method: Method) -> Bool {
        switch self {
        case .models, .model, .response, .health, .ready: return method == .get || method == .head
        case .passthrough, .unknown, .realtime: return true
        default: return method == .post
        }
    }

    /// The route of a path, compared byte for byte: another spelling of a path is another path.
    static func of(_ path: ByteView) -> Route {
        if path.equals("/v1/chat/completions") { return .chatCompletions }
        if path.hasPrefix("/v1/") { return underV1(path) }
        if path.hasPrefix("/p/") { return .passthrough }
        for route in [Route.health, .ready, .tokenize, .detokenize, .rerank, .rerankV2, .score, .pooling, .classify]
        where path.equals(route.pattern) {
            return route
        }
        return .unknown
    }

    private static func underV1(_ path: ByteView) -> Route {
        switch path.count {
        case 9: if path.equals("/v1/score") { return .scoreV1 }
        case 10:
            if path.equals("/v1/models") { return .models }
            if path.equals("/v1/rerank") { return .rerankV1 }
        case 12:
            if path.equals("/v1/messages") { return .messages }
            if path.equals("/v1/realtime") { return .realtime }
        case 13: if path.equals("/v1/responses") { return .responses }
        case 14: if path.equals("/v1/embeddings") { return .embeddings }
        case 15: if path.equals("/v1/completions") { return .completions }
        default: break
        }
        if path.equals("/v1/messages/count_tokens") { return .countTokens }
        if path.equals("/v1/audio/transcriptions") { return .transcriptions }
        if path.equals("/v1/audio/translations") { return .translations }
        if path.count > 11, path.hasPrefix("/v1/models/") { return .model }
        if path.count > 14, path.hasPrefix("/v1/responses/") { return underResponses(path.dropping(14)) }
        return .unknown
    }

    private static func underResponses(_ rest: ByteView) -> Route {
        guard let slash = rest.firstIndex(of: 0x2f) else { return .response }
        return slash > 0 && rest.dropping(slash).equals("/cancel") ? .responseCancel : .unknown
    }

    /// The dialect of a path that has no route of its own: errors under `/v1/messages` are Anthropic's.
    static func dialect(ofUnknown path: ByteView) -> Dialect { path.hasPrefix("/v1/messages") ? .anthropic : .openAI }
}
