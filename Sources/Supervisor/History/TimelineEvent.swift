import Fleet

/// Something that happened, for `GET /api/v1/timeline`.
public struct TimelineEvent: Sendable, Hashable, Codable {
    /// What kind of thing.
    public enum Kind: String, Sendable, Hashable, Codable {
        /// An instance entered a state.
        case state
        /// A person asked for something.
        case command
        /// The gateway's process.
        case gateway
        /// The configuration was applied anew, or could not be.
        case reload
        /// The daemon as a whole became ready, or is not any more.
        case readiness
    }

    /// From 1 on, without gaps, during a daemon's life.
    public var number: UInt64
    /// When, RFC 3339 in UTC.
    public var at: String
    /// What kind of thing.
    public var kind: Kind
    /// Whose: an instance's or a provider's name; nil for the daemon as a whole.
    public var instance: String?
    /// The instance's run.
    public var run: UInt64?
    /// The state that it entered.
    public var state: InstanceState?
    /// One sentence.
    public var detail: String

    private enum CodingKeys: String, CodingKey { case number, at, kind, instance, run, state, detail }

    /// Every key is always there: what does not apply is null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(number, forKey: .number)
        try container.encode(at, forKey: .at)
        try container.encode(kind, forKey: .kind)
        try container.encode(instance, forKey: .instance)
        try container.encode(run, forKey: .run)
        try container.encode(state, forKey: .state)
        try container.encode(detail, forKey: .detail)
    }
}
