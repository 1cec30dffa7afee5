import Fleet

/// What `GET /v1/models` and `GET /v1/models/{id}` answer, made once a snapshot.
struct ModelListing {
    /// One published `provider/model`.
    struct Card {
        var provider: String
        var model: ModelCard
        /// The id in the list.
        var id: String { "\(provider)/\(model.id)" }
    }

    /// Sorted by id, one a provider and model.
    let cards: [Card]

    /// The cards of a snapshot's published instances.
    init(_ snapshot: RegistrySnapshot) {
        var seen: Set<String> = []
        var cards: [Card] = []
        for provider in snapshot.providers {
            for entry in provider.instances where entry.published {
                for model in entry.models {
                    let card = Card(provider: provider.name, model: model)
                    if seen.insert(card.id).inserted { cards.append(card) }
                }
            }
        }
        self.cards = cards.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
    }

    /// The list in OpenAI's shape.
    var openAI: [UInt8] {
        var out = Array(#"{"object":"list","data":["#.utf8)
        for (index, card) in cards.enumerated() {
            if index > 0 { out.append(0x2c) }
            out.append(contentsOf: Self.openAI(card, id: card.id))
        }
        out.append(contentsOf: Array("]}".utf8))
        return out
    }

    /// The list in Anthropic's shape.
    var anthropic: [UInt8] {
        var out = Array(#"{"data":["#.utf8)
        for (index, card) in cards.enumerated() {
            if index > 0 { out.append(0x2c) }
            out.append(contentsOf: Self.anthropic(card, id: card.id))
        }
        out.append(contentsOf: Array(#"],"has_more":false,"first_id":"#.utf8))
        out.append(contentsOf: cards.first.map { JSONString.encode($0.id) } ?? Array("null".utf8))
        out.append(contentsOf: Array(#","last_id":"#.utf8))
        out.append(contentsOf: cards.last.map { JSONString.encode($0.id) } ?? Array("null".utf8))
        out.append(0x7d)
        return out
    }

    /// The card that a selector names, by the same rules as a request's `model`.
    static func find(_ selector: String, in snapshot: RegistrySnapshot) -> Card? {
        if let slash = selector.firstIndex(of: "/") {
            let name = String(selector[..<slash])
            let id = String(selector[selector.index(after: slash)...])
            for byInstance in [false, true] {
                for provider in snapshot.providers {
                    for entry in provider.instances where entry.published {
                        guard (byInstance ? entry.run.instance : provider.name) == name else { continue }
                        if let model = entry.models.first(where: { $0.id == id }) {
                            return Card(provider: provider.name, model: model)
                        }
                    }
                }
            }
        }
        for provider in snapshot.providers {
            for entry in provider.instances where entry.published {
                if let model = entry.models.first(where: { $0.id == selector }) {
                    return Card(provider: provider.name, model: model)
                }
            }
        }
        return nil
    }

    /// A card with vLLM's own fields; only `id` and `owned_by` are ours.
    static func openAI(_ card: Card, id: String) -> [UInt8] {
        let members =
            JSONMembers.split(Array(card.model.json.utf8)) ?? [
                ("id", []), ("object", Array(#""model""#.utf8)), ("created", Array("0".utf8)), ("owned_by", []),
            ]
        var out: [UInt8] = [0x7b]
        var hasID = false
        var hasOwner = false
        func add(_ key: String, _ value: [UInt8]) {
            if out.count > 1 { out.append(0x2c) }
            out.append(contentsOf: JSONString.encode(key))
            out.append(0x3a)
            out.append(contentsOf: value)
        }
        for (key, value) in members {
            switch key {
            case "id":
                hasID = true
                add(key, JSONString.encode(id))
            case "owned_by":
                hasOwner = true
                add(key, JSONString.encode(card.provider))
            default: add(key, value)
            }
        }
        if !hasID { add("id", JSONString.encode(id)) }
        if !hasOwner { add("owned_by", JSONString.encode(card.provider)) }
        out.append(0x7d)
        return out
    }

    /// A card in Anthropic's shape.
    static func anthropic(_ card: Card, id: String) -> [UInt8] {
        let members = JSONMembers.split(Array(card.model.json.utf8)) ?? []
        let created = members.first { $0.key == "created" }.flatMap { Int(String(decoding: $0.value, as: UTF8.self)) }
        var out = Array(#"{"type":"model","id":"#.utf8)
        out.append(contentsOf: JSONString.encode(id))
        out.append(contentsOf: Array(#","display_name":"#.utf8))
        out.append(contentsOf: JSONString.encode(card.model.id))
        out.append(contentsOf: Array(#","created_at":""#.utf8))
        out.append(contentsOf: Array(Timestamp.rfc3339(created ?? 0).utf8))
        out.append(contentsOf: Array(#""}"#.utf8))
        return out
    }
}
