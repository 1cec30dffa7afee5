import CLinux
import Glibc

/// One request and its answer: finds the route, applies the faults that concern every route, keeps the status.
struct Exchange {
    let server: Server
    let request: HTTPRequest
    let client: Client
    /// What holds for this request: the file's faults, and on top of them the request's own.
    let control: Control
    /// The faults that the request itself brought, in its header `x-stand-in-control`.
    let ownFaults: JSON
    private(set) var route = "none"
    private(set) var status = 200

    var options: Options { server.options }

    init(server: Server, request: HTTPRequest, client: Client, control: Control, ownFaults: JSON) {
        self.server = server
        self.request = request
        self.client = client
        self.control = control
        self.ownFaults = ownFaults
    }

    // MARK: Answering

    mutating func respond(_ status: Int, _ body: JSON, vary: Bool = true) throws(ClientGone) {
        self.status = status
        try client.respond(status, body, vary: vary)
    }

    mutating func respond(_ status: Int, bytes: [UInt8] = [], type: String? = nil) throws(ClientGone) {
        self.status = status
        try client.respond(status, bytes, type: type)
    }

    /// An error in the words of the route's protocol.
    mutating func fail(
        _ status: Int, _ message: String, type: String, param: JSON = nil, vary: Bool = true
    ) throws(ClientGone) {
        let body =
            route.hasPrefix("/v1/messages")
            ? ErrorBody.anthropic(message, type: type)
            : ErrorBody.openAI(message, type: type, param: param, code: status)
        try respond(status, body, vary: vary)
    }

    // MARK: Routing

    private static let always: [String: [String]] = [
        "/health": ["GET"], "/ping": ["GET", "POST"], "/version": ["GET"], "/load": ["GET"], "/metrics": ["GET"],
        "/v1/models": ["GET"], "/tokenize": ["POST"], "/detokenize": ["POST"],
    ]
    private static let generating: [String: [String]] = [
        "/v1/chat/completions": ["POST"], "/v1/completions": ["POST"], "/v1/responses": ["POST"],
        "/v1/responses/{response_id}": ["GET"], "/v1/responses/{response_id}/cancel": ["POST"],
        "/v1/messages": ["POST"], "/v1/messages/count_tokens": ["POST"],
    ]
    private static let pooling: [String: [String]] = [
        "/v1/embeddings": ["POST"], "/v2/embed": ["POST"], "/pooling": ["POST"], "/score": ["POST"],
        "/v1/score": ["POST"], "/rerank": ["POST"], "/v1/rerank": ["POST"], "/v2/rerank": ["POST"],
    ]
    private static let transcribing: [String: [String]] = [
        "/v1/audio/transcriptions": ["POST"], "/v1/audio/translations": ["POST"],
    ]

    private var methods: [String]? {
        if let methods = Self.always[route] { return methods }
        let own: [[String: [String]]] =
            switch options.task {
            case .generate: [Self.generating]
            case .pooling: [Self.pooling]
            case .transcription: [Self.transcribing]
            case .all: [Self.generating, Self.pooling, Self.transcribing, ["/classify": ["POST"]]]
            }
        return own.lazy.compactMap { $0[route] }.first
    }

    mutating func run() throws(ClientGone) {
        if request.path.hasPrefix("/stand-in/") { return try observe() }
        route = Self.template(request.path)
        if let delay = control.milliseconds("delay_ms") { pause(seconds: delay) }
        if try replaced() { return }
        guard authorized else { return try respond(401, ["error": "Unauthorized"], vary: false) }
        guard let methods else {
            route = "none"
            return try respond(404, ["detail": "Not Found"])
        }
        guard methods.contains(request.method) else {
            route = "none"
            status = 405
            let body = Array(JSON.object([("detail", "Method Not Allowed")]).text().utf8)
            return try client.respond(405, body, headers: [("allow", methods.joined(separator: ", "))])
        }
        try dispatch()
    }

    private static func template(_ path: String) -> String {
        guard path.hasPrefix("/v1/responses/") else { return path }
        return path.hasSuffix("/cancel") ? "/v1/responses/{response_id}/cancel" : "/v1/responses/{response_id}"
    }

    private var authorized: Bool {
        if control.flag("unauthorized") { return false }
        guard !options.keys.isEmpty else { return true }
        guard ["/v1", "/v2", "/inference", "/cohere"].contains(where: { request.path.hasPrefix($0) }) else {
            return true
        }
        let parts = (request["authorization"] ?? "").split(separator: " ", maxSplits: 1).map(String.init)
        return parts.count == 2 && parts[0].lowercased() == "bearer" && options.keys.contains(parts[1])
    }

    private mutating func dispatch() throws(ClientGone) {
        switch route {
        case "/health", "/ping": try health()
        case "/version": try respond(200, ["version": .string(options.version)])
        case "/load": try respond(200, ["server_load": 0])
        case "/metrics": try showMetrics()
        case "/v1/models": try models()
        case "/tokenize", "/detokenize": try tokens()
        case "/v1/chat/completions": try generate(.chat)
        case "/v1/completions": try generate(.completions)
        case "/v1/responses": try generate(.responses)
        case "/v1/messages": try generate(.messages)
        case "/v1/messages/count_tokens": try countTokens()
        case "/v1/responses/{response_id}": try storedResponse()
        case "/v1/responses/{response_id}/cancel": try cancelResponse()
        case "/v1/audio/transcriptions", "/v1/audio/translations": try transcribe()
        default: try pool()
        }
    }

    // MARK: Faults of every route

    /// An answer given in the control file instead of ours.
    private mutating func replaced() throws(ClientGone) -> Bool {
        let path = request.path
        if let raw = control["raw"]?[path], server.controls.take("raw", of: control) {
            status = 0
            try client.send(Array((raw.string ?? raw["text"]?.string ?? "").utf8))
            if raw["hold"]?.bool == true {
                while !client.isGone { pause(seconds: 0.02) }
            }
            throw ClientGone()
        }
        guard let answer = control["respond"]?[path], server.controls.take("respond", of: control) else {
            return false
        }
        if let delay = answer["delay_ms"]?.double { pause(seconds: delay / 1000) }
        status = answer["status"]?.int ?? 200
        var headers: [(String, String)] = []
        for (name, value) in answer["headers"]?.members ?? [] { headers.append((name, value.string ?? value.text())) }
        let body = answer["body"].map { $0.string ?? $0.text() } ?? ""
        let type = headers.contains { $0.0.lowercased() == "content-type" } ? nil : "application/json"
        try client.respond(status, Array(body.utf8), type: type, headers: headers)
        return true
    }

    // MARK: What is always there

    private mutating func health() throws(ClientGone) {
        if let delay = control.milliseconds("health_delay_ms") { pause(seconds: delay) }
        let wanted = control.int("health_status") ?? (server.link.deadSince == nil ? 200 : 503)
        try respond(wanted)
    }

    private mutating func showMetrics() throws(ClientGone) {
        guard !control.flag("metrics_missing") else { return try respond(404, ["detail": "Not Found"]) }
        let text = server.metrics.text(
            server.link.counters, handled: server.observations.handled, frozen: control.flag("counters_frozen"))
        try respond(200, bytes: Array(text.utf8), type: "text/plain; version=1.0.0; charset=utf-8")
    }

    private mutating func observe() throws(ClientGone) {
        switch request.path {
        case "/stand-in/requests": try respond(200, server.observations.requests)
        case "/stand-in/stats":
            try respond(200, server.observations.stats(server.link.counters, enginePID: server.link.pid))
        case "/stand-in/options":
            try respond(200, ["arguments": .array(options.arguments.map { .string($0) })])
        case "/stand-in/environment":
            var names: [JSON] = []
            var entry = environ
            while let text = entry.pointee {
                names.append(.string(String(cString: text)))
                entry += 1
            }
            try respond(200, ["environment": .array(names)])
        default: try respond(404, ["detail": "Not Found"])
        }
    }

    /// The names this server answers to.
    var modelNames: [String] { control.string("model_id").map { [$0] } ?? options.names }

    private mutating func models() throws(ClientGone) {
        let now = Int(epoch())
        let cards: [JSON] = modelNames.map { name in
            [
                "id": .string(name), "object": "model", "created": .integer(now), "owned_by": "vllm",
                "root": .string(options.model), "parent": nil, "max_model_len": .integer(options.maxModelLength),
                "permission": [
                    [
                        "id": .string("modelperm-\(randomHex())"), "object": "model_permission",
                        "created": .integer(now), "allow_create_engine": false, "allow_sampling": true,
                        "allow_logprobs": true, "allow_search_indices": false, "allow_view": true,
                        "allow_fine_tuning": false, "organization": "*", "group": nil, "is_blocking": false,
                    ]
                ],
            ]
        }
        try respond(200, ["object": "list", "data": .array(cards)])
    }

    // MARK: Bodies

    /// The body as an object, or nil after the error was sent.
    mutating func object() throws(ClientGone) -> JSON? {
        let type = (request["content-type"] ?? "application/json").lowercased()
        guard type.split(separator: ";").first == "application/json" else {
            try respond(
                400,
                ErrorBody.openAI(
                    "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
                    type: "Bad Request", code: 400))
            return nil
        }
        guard !request.body.isEmpty else {
            try respond(400, ErrorBody.validation("missing", at: "body", "Field required", input: "None"))
            return nil
        }
        do {
            let body = try JSONParser.parse(request.body)
            if body.members != nil { return body }
            let input = body.array.map { "<list of \($0.count) items>" } ?? body.text()
            try respond(
                400,
                ErrorBody.validation(
                    "model_attributes_type", at: "body",
                    "Input should be a valid dictionary or object to extract fields from", input: input))
        } catch let error as JSONError {
            try respond(
                400,
                ErrorBody.validation(
                    "json_invalid", at: "body.\(error.offset)", "JSON decode error", input: "<dict of 0 items>",
                    more: ", 'ctx': {'error': '\(error.reason)'}"))
        } catch {
            throw ClientGone()
        }
        return nil
    }

    /// Says that a field is not there.
    mutating func missing(_ field: String, in body: JSON) throws(ClientGone) {
        try respond(
            400,
            ErrorBody.validation(
                "missing", at: "body.\(field)", "Field required",
                input: "<dict of \(body.members?.count ?? 0) items>"))
    }

    /// Whether the body names a model of ours, or none; the error is sent when it does not.
    mutating func modelIsKnown(_ body: JSON, pooling: Bool = false) throws(ClientGone) -> Bool {
        guard let name = body["model"]?.string, !name.isEmpty else { return true }
        guard !modelNames.contains(name) else { return true }
        let aliases = pooling ? "" : " Valid aliases: \(modelNames.joined(separator: ", "))."
        try fail(
            404, "The model `\(name)` does not exist.\(aliases)", type: "NotFoundError", param: pooling ? nil : "model")
        return false
    }

    /// Whether a prompt of so many tokens fits; the error is sent when it does not.
    mutating func fits(_ count: Int) throws(ClientGone) -> Bool {
        let most = options.maxModelLength
        guard count > most else { return true }
        try fail(
            400,
            "This model's maximum context length is \(most) tokens. However, your prompt contains at least "
                + "\(most + 1) input tokens, which exceeds this limit even without any output tokens. Please reduce "
                + "the length of the input prompt. (parameter=input_tokens, value=\(most + 1))",
            type: "BadRequestError", param: "input_tokens")
        return false
    }

    /// The name to answer with.
    func modelName(_ body: JSON) -> String { body["model"]?.string ?? modelNames[0] }
}
