import Fleet

/// What a server's answer to `/v1/models` says about who it is.
public enum ModelList: Sendable, Hashable {
    /// A list of models, in the server's order, each card byte for byte as the server wrote it; never empty.
    case cards([ModelCard])
    /// It answers, but it is not what is configured: the key is wrong, or it is another server. A sentence.
    case misconfigured(String)
    /// It is who it should be, perhaps, but cannot say so now: 5xx, 408, 429. A sentence.
    case failing(String)

    /// Reads an answer.
    ///
    /// - Parameters:
    ///   - status: The answer's status.
    ///   - body: Its whole body.
    ///   - expectedIds: Ids of which one must be there; empty lets any server pass.
    ///   - configuredIds: Ids to believe in where a server has no `/v1/models` (404, 405, 501).
    public static func read(
        status: Int, body: [UInt8], expectedIds: [String] = [], configuredIds: [String] = []
    ) -> ModelList {
        switch status {
        case 200: return read(body, expectedIds: expectedIds)
        case 401, 403:
            return .misconfigured("answers \(status) to /v1/models: the API key is missing or wrong\(said(body))")
        case 404, 405, 501:
            if !configuredIds.isEmpty { return .cards(configuredIds.map { ModelCard(id: $0) }) }
            return .misconfigured(
                "answers \(status) to /v1/models: is this a vLLM server, and is the base URL's path right?")
        case 408, 425, 429: return .failing("answers \(status) to /v1/models")
        case 300..<400:
            return .misconfigured("redirects /v1/models (\(status)): configure the address it redirects to")
        case 500...: return .failing("answers \(status) to /v1/models\(said(body))")
        default: return .misconfigured("answers \(status) to /v1/models\(said(body))")
        }
    }

    private static func read(_ body: [UInt8], expectedIds: [String]) -> ModelList {
        guard let root = JSONText.parse(body) else {
            return .misconfigured("its answer to /v1/models is not JSON: another server listens there")
        }
        guard let entries = root["data"]?.elements else {
            return .misconfigured("its answer to /v1/models is not a list of models: another server listens there")
        }
        var seen: Set<String> = []
        let cards = entries.compactMap { entry -> ModelCard? in
            guard let card = card(entry, in: body), seen.insert(card.id).inserted else { return nil }
            return card
        }
        if cards.isEmpty { return .misconfigured("its /v1/models lists no model") }
        if !expectedIds.isEmpty, !cards.contains(where: { expectedIds.contains($0.id) }) {
            let served = cards.prefix(3).map(\.id).joined(separator: ", ")
            return .misconfigured(
                "serves \(served) instead of \(expectedIds.joined(separator: ", ")): another server listens there")
        }
        return .cards(cards)
    }

    private static func card(_ entry: JSONText.Node, in body: [UInt8]) -> ModelCard? {
        guard entry.isObject, let id = entry["id"]?.string, !id.isEmpty else { return nil }
        return ModelCard(
            id: id, json: String(decoding: body[entry.span], as: UTF8.self), root: entry["root"]?.string,
            parent: entry["parent"]?.string, maxModelLen: entry["max_model_len"]?.number.flatMap { Int(exactly: $0) })
    }

    /// What the server says about its refusal, where it says something short: vLLM's 401 is `{"error":"Unauthorized"}`,
    /// other refusals are `{"error":{"message":…}}` or `{"detail":…}`.
    static func message(in body: [UInt8]) -> String? {
        guard body.count <= 65_536, let root = JSONText.parse(body) else { return nil }
        let error = root["error"]
        guard
            let text = error?.string ?? error?["message"]?.string ?? root["message"]?.string ?? root["detail"]?.string,
            !text.isEmpty
        else { return nil }
        let flat = text.unicodeScalars.map { $0.value < 0x20 ? " " : Character($0) }
        return flat.count > 200 ? String(flat.prefix(200)) + "…" : String(flat)
    }

    private static func said(_ body: [UInt8]) -> String { message(in: body).map { " (“\($0)”)" } ?? "" }

    /// Whether two lists name the same models with the same limits, in whatever order.
    static func areSame(_ left: [ModelCard], _ right: [ModelCard]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left.sorted { $0.id < $1.id }, right.sorted { $0.id < $1.id }).allSatisfy { $0.isSameModel(as: $1) }
    }
}
