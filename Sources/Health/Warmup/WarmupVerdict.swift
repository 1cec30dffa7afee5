/// What the answer to a real request says about the engine.
public enum WarmupVerdict: Sendable, Hashable {
    /// The engine made something: it works.
    case warm
    /// No route takes the probe's words, but an existing one answered 400: the server lives; of the engine it says
    /// nothing.
    case alive
    /// No route of any kind is there (audio models): identity and counters must do.
    case nothingToAsk
    /// This kind is not for this model; ask again with ``WarmupPlan/current``.
    case tryNext
    /// 503 or 429: lives, has no room now. Ask again later.
    case busy(String)
    /// An `abort` without a token: it is being shut down or paused. Ask again later.
    case aborted
    /// 401 or 403.
    case unauthorized(String)
    /// vLLM says that its engine is dead.
    case dead(String)
    /// Any other failing answer.
    case failing(String)
    /// No answer.
    case unanswered(HTTPProbeResult.Failure)
}
