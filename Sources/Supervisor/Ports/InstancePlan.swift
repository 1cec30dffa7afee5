import Fleet

/// What an instance is to be, by configuration.
public struct InstancePlan: Sendable, Hashable {
    /// The instance's name: `chat-0`, or the provider's own where attached.
    public var name: String
    /// Its place among the daemon's launched instances, from 0: a short and stable part of socket names.
    public var number: Int
    /// Its provider.
    public var provider: ProviderConfiguration
    /// 0 or 1: two runs of one instance that live side by side while one replaces the other have different ones.
    public var slot = 0
    /// The run that an earlier life left in this slot, to be taken over; nil for the last one that there was.
    var leftRun: UInt64?

    /// What its process tree, its record and its GPUs are kept by: the name, and the slot where it is not the first. No
    /// instance's name has a dot.
    public var key: String { Self.key(name, slot: slot) }

    static func key(_ name: String, slot: Int) -> String { slot == 0 ? name : "\(name).\(slot)" }

    static func name(ofKey key: String) -> String { String(key.prefix { $0 != "." }) }

    /// A plan.
    public init(name: String, number: Int, provider: ProviderConfiguration) {
        self.name = name
        self.number = number
        self.provider = provider
    }

    /// Launched here or attached.
    public var kind: ProviderKind { Self.kind(of: provider) }

    static func kind(of provider: ProviderConfiguration) -> ProviderKind {
        switch provider.source {
        case .launched: return .launched
        case .attached: return .attached
        }
    }
}
