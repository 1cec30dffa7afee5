/// One entry of a server's `/v1/models`: a served model name or a LoRA adapter.
public struct ModelCard: Sendable, Hashable, Codable {
    /// The id that requests to this server must carry.
    public var id: String
    /// The card as vLLM gave it, a JSON object in UTF-8, with all of its own fields; empty for a model that is
    /// only known by configuration. `created` and `permission` change at every call: never compare them.
    public var json: String
    /// The model or path behind the id, where vLLM tells.
    public var root: String?
    /// The base model of a LoRA adapter.
    public var parent: String?
    /// The longest context in tokens, where vLLM tells.
    public var maxModelLen: Int?

    /// A card.
    public init(id: String, json: String = "", root: String? = nil, parent: String? = nil, maxModelLen: Int? = nil) {
        self.id = id
        self.json = json
        self.root = root
        self.parent = parent
        self.maxModelLen = maxModelLen
    }

    /// Whether both name the same model with the same limits; what changes at every call is left out.
    public func isSameModel(as other: ModelCard) -> Bool {
        id == other.id && root == other.root && parent == other.parent && maxModelLen == other.maxModelLen
    }
}
