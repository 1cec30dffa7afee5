import Fleet

/// What an instance is to be, by configuration.
public struct InstancePlan: Sendable, Hashable {
    /// The instance's name: `chat-0`, or the provider's own where attached.
    public var name: String
    /// Its place among the daemon's launched instances, from 0: a short and stable part of socket names.
    public var number: Int
    /// Its provider.
    public var provider: ProviderConfiguration

    /// A plan.
    public init(name: String, number: Int, provider: ProviderConfiguration) {
        self.name = name
        self.number = number
        self.provider = provider
    }

    /// Launched here or attached.
    public var kind: ProviderKind {
        switch provider.source {
        case .launched: return .launched
        case .attached: return .attached
        }
    }
}
