/// Tokens that servers said they used, by what a client cannot invent.
public struct TokenCount: Sendable, Hashable, Codable {
    /// The provider's name.
    public var provider: String
    /// The model's id at the server, `-` where the request named none.
    public var model: String
    /// `prompt` or `completion`.
    public var kind: String
    /// How many.
    public var count: UInt64

    /// A count.
    public init(provider: String, model: String, kind: String, count: UInt64) {
        self.provider = provider
        self.model = model
        self.kind = kind
        self.count = count
    }
}
