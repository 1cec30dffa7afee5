/// The kinds of a real request that costs an engine about one token, in the order in which they are tried.
public enum WarmupRequest: String, Sendable, Hashable, CaseIterable {
    /// `/v1/completions`: what nearly every generating model takes, without a chat template.
    case completions
    /// `/v1/chat/completions`
    case chat
    /// `/v1/embeddings`
    case embeddings
    /// `/pooling`
    case pooling
    /// `/score`
    case score
    /// `/classify`
    case classify

    /// The route.
    public var path: String {
        switch self {
        case .completions: return "/v1/completions"
        case .chat: return "/v1/chat/completions"
        case .embeddings: return "/v1/embeddings"
        case .pooling: return "/pooling"
        case .score: return "/score"
        case .classify: return "/classify"
        }
    }

    /// The body for a model. The prompt is shorter than a block of the KV cache, so that no prefix cache answers it.
    func body(model: String) -> [UInt8] {
        let model = JSONText.quoted(model)
        switch self {
        case .completions:
            return Array(#"{"model":\#(model),"prompt":"Hi","max_tokens":1,"temperature":0}"#.utf8)
        case .chat:
            let message = #"{"role":"user","content":"Hi"}"#
            return Array(#"{"model":\#(model),"messages":[\#(message)],"max_tokens":1,"temperature":0}"#.utf8)
        case .embeddings, .pooling, .classify: return Array(#"{"model":\#(model),"input":"Hi"}"#.utf8)
        case .score: return Array(#"{"model":\#(model),"text_1":"Hi","text_2":"Hello"}"#.utf8)
        }
    }
}
