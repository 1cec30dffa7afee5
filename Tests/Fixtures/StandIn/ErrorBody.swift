/// vLLM's error bodies.
enum ErrorBody {
    static func openAI(_ message: String, type: String, param: JSON = nil, code: Int) -> JSON {
        [
            "error": [
                "message": .string(message), "type": .string(type), "param": param, "code": .integer(code),
            ]
        ]
    }

    static func anthropic(_ message: String, type: String) -> JSON {
        ["type": "error", "error": ["type": .string(type), "message": .string(message)]]
    }

    /// What FastAPI's validation says: one problem at one place.
    static func validation(_ type: String, at place: String, _ message: String, input: String, more: String = "")
        -> JSON
    {
        openAI(
            "1 validation error:\n  {'type': '\(type)', 'loc': '\(place)', 'msg': '\(message)', "
                + "'input': '\(input)'\(more)}",
            type: "Bad Request", param: .string(place), code: 400)
    }

    static let engineDead = "EngineCore encountered an issue. See stack trace (above) for the root cause."
    static let shuttingDown = "cannot schedule new futures after shutdown"
    static let busy =
        "The engine is currently busy and cannot accept new requests. "
        + "Please try again later or on a different instance."
}
