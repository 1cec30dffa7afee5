import Fleet

/// What the witnesses of one run add up to. The supervisor acts on these and on nothing else that probes say.
public enum HealthConclusion: Sendable, Hashable {
    /// `/v1/models` answers for the first time: it is who it should be. The real request comes next.
    case listening([ModelCard])
    /// A real request was answered: it may be published.
    case warm([ModelCard])
    /// Works again after ``unhealthy(_:)``, ``unreachable(_:)`` or ``misconfigured(_:)``.
    case healthy([ModelCard])
    /// Still works, but serves other models than before.
    case modelsChanged([ModelCard])
    /// Lives and does not work: to be unpublished. The sentence says which witness and why.
    case unhealthy(String)
    /// Attached: nothing answers at its address: to be unpublished.
    case unreachable(String)
    /// Answers, but cannot be used as configured (401, another server, another model): to be unpublished. Heals by itself.
    case misconfigured(String)
    /// Launched: two witnesses or a death agree that it will not recover: to be killed and started anew.
    case condemned(String)
}
