/// Tokens, vectors and scores: what asks the engine for one step at most.
extension Exchange {
    private func usage(_ tokens: Int) -> JSON {
        [
            "prompt_tokens": .integer(tokens), "total_tokens": .integer(tokens), "completion_tokens": 0,
            "prompt_tokens_details": nil, "completion_tokens_details": nil,
        ]
    }

    // MARK: Tokens

    mutating func tokens() throws(ClientGone) {
        guard let body = try object() else { return }
        guard try modelIsKnown(body) else { return }
        if route == "/detokenize" {
            guard let tokens = body["tokens"]?.array else { return try missing("tokens", in: body) }
            let text = tokens.map { Words.all[($0.int ?? 0) % Words.all.count] }.joined()
            return try respond(200, ["prompt": .string(text)])
        }
        guard body["prompt"] != nil || body["messages"] != nil else { return try missing("prompt", in: body) }
        let text = Generation.promptText(body, body["prompt"] == nil ? .chat : .completions)
        let count = Words.count(text)
        try respond(
            200,
            [
                "count": .integer(count), "max_model_len": .integer(options.maxModelLength),
                "tokens": .array((0..<count).map { .integer(100 + $0 % 400) }), "token_strs": nil,
            ])
    }

    mutating func countTokens() throws(ClientGone) {
        guard let body = try object() else { return }
        guard body["messages"] != nil else { return try missing("messages", in: body) }
        guard try modelIsKnown(body) else { return }
        let count = Words.count(Generation.promptText(body, .messages))
        try respond(
            200,
            [
                "input_tokens": .integer(count),
                "context_management": ["original_input_tokens": .integer(count)],
            ])
    }

    // MARK: Vectors and scores

    mutating func pool() throws(ClientGone) {
        guard let body = try object() else { return }
        let fields: [String] =
            switch route {
            case "/v2/embed": ["texts"]
            case "/score", "/v1/score": ["text_1", "text_2"]
            case "/rerank", "/v1/rerank", "/v2/rerank": ["query", "documents"]
            default: ["input"]
            }
        for field in fields where body[field] == nil { return try missing(field, in: body) }
        guard try modelIsKnown(body, pooling: true) else { return }
        if route == "/v2/embed", let kind = body["input_type"]?.string {
            return try fail(
                400,
                "Unsupported input_type '\(kind)'. This model does not define any input_type task instructions.",
                type: "BadRequestError")
        }
        let inputs = fields.flatMap { texts(body[$0] ?? nil) }
        let count = inputs.reduce(0) { $0 + Words.count($1) }
        guard try fits(inputs.map(Words.count).max() ?? 0) else { return }
        if control.flag("busy"), server.controls.take("busy", of: control) {
            return try fail(503, ErrorBody.busy, type: "ServiceUnavailableError")
        }
        guard try oneStep(promptTokens: count) else { return }
        try respond(200, answer(body, inputs, count))
    }

    /// The texts of an input, which may be one, several, or token ids.
    private func texts(_ value: JSON) -> [String] {
        guard let elements = value.array else { return [Generation.flatten(value)] }
        if elements.first?.int != nil { return [Generation.flatten(value)] }
        return elements.map(Generation.flatten)
    }

    /// Lets the engine make one step for this request; false after the error was sent.
    private mutating func oneStep(promptTokens: Int) throws(ClientGone) -> Bool {
        server.observations.inferenceBegan()
        defer { _ = server.observations.inferenceEnded() }
        try hang()
        let (id, inbox) = server.link.submit(
            tokens: 1, first: control.milliseconds("first_token_delay_ms") ?? 0, interval: 0.001,
            promptTokens: promptTokens, promptHash: Int.random(in: .min ... .max))
        var finished = false
        defer { server.link.forget(id, finished: finished) }
        while true {
            for event in inbox.take() {
                finished = true
                if case .token = event { return true }
                try fail(500, ErrorBody.engineDead, type: "InternalServerError")
                if !options.surviveEngine { server.exit(in: 0.1, code: 0) }
                return false
            }
            if client.isGone {
                server.observations.clientAborted(request, tokens: 0)
                throw ClientGone()
            }
            inbox.wait(seconds: 0.05)
        }
    }

    /// A vector of length 1 that depends on the text.
    private func vector(_ text: String) -> [Double] {
        var seed = text.utf8.reduce(UInt64(1469598103934665603)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        let size = control.int("payload_bytes").map { max(1, $0 / 20) } ?? 128
        let values = (0..<size).map { _ in
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(seed >> 40) / Double(1 << 24) - 0.5
        }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }

    private func embedding(_ text: String, base64 wanted: Bool) -> JSON {
        let values = vector(text)
        guard wanted else { return .array(values.map { .number($0) }) }
        return .string(base64(values.flatMap { value in withUnsafeBytes(of: Float(value)) { Array($0) } }))
    }

    private func answer(_ body: JSON, _ inputs: [String], _ count: Int) -> JSON {
        let model = JSON.string(modelName(body))
        let created = JSON.integer(Int(epoch()))
        func list(_ prefix: String, _ data: [JSON]) -> JSON {
            [
                "id": .string(prefix + randomHex()), "object": "list", "created": created, "model": model,
                "data": .array(data), "usage": usage(count),
            ]
        }
        func score(_ index: Int) -> JSON {
            .number(zip(vector(inputs[0]), vector(inputs[index + 1])).reduce(0) { $0 + $1.0 * $1.1 })
        }
        let others = max(0, inputs.count - 1)
        switch route {
        case "/pooling":
            return list(
                "pooling-",
                inputs.enumerated().map {
                    ["index": .integer($0.offset), "object": "pooling", "data": embedding($0.element, base64: false)]
                })
        case "/score", "/v1/score":
            return list(
                "score-",
                (0..<others).map { ["index": .integer($0), "object": "score", "score": score($0)] })
        case "/rerank", "/v1/rerank", "/v2/rerank":
            return [
                "id": .string("score-" + randomHex()), "model": model,
                "usage": ["prompt_tokens": .integer(count), "total_tokens": .integer(count)],
                "results": .array(
                    (0..<others).map {
                        [
                            "index": .integer($0), "document": ["text": .string(inputs[$0 + 1]), "multi_modal": nil],
                            "relevance_score": score($0),
                        ]
                    }),
            ]
        case "/classify":
            return list(
                "classify-",
                inputs.indices.map {
                    ["index": .integer($0), "label": "LABEL_0", "probs": [0.75, 0.25], "num_classes": 2]
                })
        default:
            let wanted = body["encoding_format"]?.string == "base64"
            return list(
                "embd-",
                inputs.enumerated().map {
                    [
                        "index": .integer($0.offset), "object": "embedding",
                        "embedding": embedding($0.element, base64: wanted),
                    ]
                })
        }
    }

    // MARK: Audio

    mutating func transcribe() throws(ClientGone) {
        let text = String(decoding: request.body, as: UTF8.self)
        guard request["content-type"]?.hasPrefix("multipart/form-data") == true else {
            return try missing("file", in: .object([]))
        }
        var body: [(String, JSON)] = []
        if let field = text.range(ofText: "name=\"model\"\r\n\r\n") {
            body.append(("model", .string(String(text[field...].prefix { $0 != "\r\n" && $0 != "\n" }))))
        }
        guard try modelIsKnown(.object(body)) else { return }
        guard try oneStep(promptTokens: 1) else { return }
        try respond(
            200, ["text": .string(Words.all.joined()), "usage": ["type": "duration", "seconds": 1]])
    }
}

extension String {
    /// Where the text ends that follows the first occurrence of another.
    fileprivate func range(ofText other: String) -> String.Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }
}
