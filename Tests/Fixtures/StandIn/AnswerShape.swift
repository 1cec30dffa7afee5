/// The answers of each protocol, field by field as vLLM 0.32.0 writes them (`recorded/` in the folder above).
final class AnswerShape {
    let id: String
    private let dialect: Dialect
    private let model: String
    private let body: JSON
    private let promptTokens: Int
    private let created = Int(epoch())
    private let fingerprint: String
    private let item = "msg_\(randomHex())"
    private var sequence = 0

    init(id: String, dialect: Dialect, model: String, body: JSON, promptTokens: Int, version: String) {
        self.id = id
        self.dialect = dialect
        self.model = model
        self.body = body
        self.promptTokens = promptTokens
        fingerprint = "vllm-\(version)-0a1b2c3d"
    }

    private var includesUsage: Bool { body["stream_options"]?["include_usage"]?.bool == true }
    private var continuousUsage: Bool {
        includesUsage && body["stream_options"]?["continuous_usage_stats"]?.bool == true
    }

    private func usage(_ tokens: Int) -> [(String, JSON)] {
        [
            ("prompt_tokens", .integer(promptTokens)), ("total_tokens", .integer(promptTokens + tokens)),
            ("completion_tokens", .integer(tokens)),
        ]
    }

    private func fullUsage(_ tokens: Int) -> JSON {
        .object(usage(tokens) + [("prompt_tokens_details", nil), ("completion_tokens_details", nil)])
    }

    // MARK: Whole answers

    func whole(text: String, tokens: Int, reason: String) -> JSON {
        switch dialect {
        case .chat: chat(text, tokens, reason)
        case .completions: completion(text, tokens, reason)
        case .messages: message(text, tokens, reason)
        case .responses:
            response(
                status: reason == "length" ? "incomplete" : reason == "abort" ? "cancelled" : "completed", text: text,
                tokens: tokens, reason: reason)
        }
    }

    private func chat(_ text: String, _ tokens: Int, _ reason: String) -> JSON {
        let message: JSON = [
            "role": "assistant", "content": .string(text), "refusal": nil, "annotations": nil, "audio": nil,
            "function_call": nil, "reasoning": nil,
        ]
        var logprobs: JSON = nil
        if body["logprobs"]?.bool == true {
            let one: JSON = ["token": "The", "logprob": -0.5, "bytes": [84, 104, 101]]
            let each = one.merging(["top_logprobs": [one]])
            logprobs = ["content": .array(Array(repeating: each, count: tokens))]
        }
        let choices: [JSON] = (0..<max(1, body["n"]?.int ?? 1)).map { index in
            [
                "index": .integer(index), "message": message, "logprobs": logprobs, "finish_reason": .string(reason),
                "stop_reason": nil, "token_ids": nil, "routed_experts": nil,
            ]
        }
        return [
            "id": .string(id), "object": "chat.completion", "created": .integer(created), "model": .string(model),
            "choices": .array(choices), "service_tier": nil, "system_fingerprint": .string(fingerprint),
            "usage": fullUsage(tokens), "prompt_logprobs": nil, "prompt_token_ids": nil, "prompt_text": nil,
            "kv_transfer_params": nil, "ec_transfer_params": nil, "metrics": nil,
        ]
    }

    private func completion(_ text: String, _ tokens: Int, _ reason: String) -> JSON {
        let choices: [JSON] = (0..<max(1, body["n"]?.int ?? 1)).map { index in
            [
                "index": .integer(index), "text": .string(text), "logprobs": nil, "finish_reason": .string(reason),
                "stop_reason": nil, "token_ids": nil, "prompt_logprobs": nil, "prompt_token_ids": nil,
                "routed_experts": nil,
            ]
        }
        return [
            "id": .string(id), "object": "text_completion", "created": .integer(created), "model": .string(model),
            "choices": .array(choices), "service_tier": nil, "system_fingerprint": .string(fingerprint),
            "usage": fullUsage(tokens), "kv_transfer_params": nil, "ec_transfer_params": nil, "metrics": nil,
        ]
    }

    private func message(_ text: String, _ tokens: Int, _ reason: String) -> JSON {
        [
            "id": .string(id), "type": "message", "role": "assistant",
            "content": [["type": "text", "text": .string(text)]], "model": .string(model),
            "stop_reason": .string(Self.stopReason(reason)),
            "usage": ["input_tokens": .integer(promptTokens), "output_tokens": .integer(tokens)],
        ]
    }

    private static func stopReason(_ reason: String) -> String { reason == "length" ? "max_tokens" : "end_turn" }

    private func outputItem(_ text: String) -> JSON {
        [
            "id": .string(item), "content": text.isEmpty ? [] : [part(text, logprobs: nil)], "role": "assistant",
            "status": "completed", "type": "message", "phase": nil,
        ]
    }

    private func part(_ text: String, logprobs: JSON) -> JSON {
        ["annotations": [], "text": .string(text), "type": "output_text", "logprobs": logprobs]
    }

    /// A response object; without text it has no output yet.
    func response(status: String, text: String?, tokens: Int, reason: String?) -> JSON {
        let usage: JSON =
            text == nil
            ? nil
            : [
                "input_tokens": .integer(promptTokens),
                "input_tokens_details": [
                    "cached_tokens": 0, "cache_write_tokens": 0, "input_tokens_per_turn": [],
                    "cached_tokens_per_turn": [],
                ],
                "output_tokens": .integer(tokens),
                "output_tokens_details": [
                    "reasoning_tokens": 0, "tool_output_tokens": 0, "output_tokens_per_turn": [],
                    "tool_output_tokens_per_turn": [],
                ],
                "total_tokens": .integer(promptTokens + tokens),
            ]
        return [
            "id": .string(id), "created_at": .integer(created),
            "incomplete_details": reason == "length" ? ["reason": "max_output_tokens"] : nil, "instructions": nil,
            "metadata": nil, "model": .string(model), "object": "response",
            "output": text.map { [outputItem($0)] } ?? [], "parallel_tool_calls": true,
            "temperature": .number(body["temperature"]?.double ?? 1), "tool_choice": "none", "tools": [],
            "top_p": 1.0, "background": .bool(body["background"]?.bool ?? false),
            "max_output_tokens": body["max_output_tokens"] ?? 4096, "max_tool_calls": nil,
            "previous_response_id": body["previous_response_id"] ?? nil, "prompt": nil, "reasoning": nil,
            "service_tier": "auto", "status": .string(status), "text": nil, "top_logprobs": nil,
            "truncation": "disabled", "usage": usage, "user": nil, "presence_penalty": 0.0,
            "frequency_penalty": 0.0, "kv_transfer_params": nil, "ec_transfer_params": nil, "input_messages": nil,
            "output_messages": nil,
        ]
    }

    // MARK: Streams

    private func data(_ value: JSON) -> String { "data: \(value.text())\n\n" }

    private func named(_ name: String, _ members: [(String, JSON)]) -> String {
        "event: \(name)\ndata: \(JSON.object(members).text())\n\n"
    }

    /// An event of /v1/responses, with its number.
    private func numbered(_ name: String, _ members: [(String, JSON)]) -> String {
        defer { sequence += 1 }
        return named(name, members + [("sequence_number", .integer(sequence)), ("type", .string(name))])
    }

    /// What /v1/responses says before the engine has said anything.
    func beforeTokens() -> [String] {
        let empty = response(status: "in_progress", text: nil, tokens: 0, reason: nil)
        return ["response.created", "response.in_progress"].map { numbered($0, [("response", empty)]) }
    }

    /// What comes with the first token.
    func begin() -> [String] {
        switch dialect {
        case .completions: return []
        case .chat:
            return [chunk(["role": "assistant", "content": ""], tokens: 0, first: true)]
        case .messages:
            let message: JSON = [
                "id": .string(id), "type": "message", "role": "assistant", "content": [], "model": .string(model),
                "stop_reason": nil, "stop_sequence": nil,
                "usage": ["input_tokens": .integer(promptTokens), "output_tokens": 0],
            ]
            return [
                named("message_start", [("type", "message_start"), ("message", message)]),
                named(
                    "content_block_start",
                    [("type", "content_block_start"), ("content_block", ["type": "text", "text": ""]), ("index", 0)]),
            ]
        case .responses:
            let added: JSON = [
                "id": .string(item), "content": [], "role": "assistant", "status": "in_progress", "type": "message",
                "phase": nil,
            ]
            return [
                numbered("response.output_item.added", [("item", added), ("output_index", 0)]),
                numbered("response.content_part.added", place + [("part", part("", logprobs: []))]),
            ]
        }
    }

    private var place: [(String, JSON)] {
        [("content_index", 0), ("item_id", .string(item)), ("output_index", 0)]
    }

    /// One token; `reason` when it is the last.
    func token(_ word: String, count: Int, reason: String?) -> [String] {
        switch dialect {
        case .chat: return [chunk(["content": .string(word)], tokens: count, reason: reason)]
        case .completions:
            var members: [(String, JSON)] = [
                ("id", .string(id)), ("object", "text_completion"), ("created", .integer(created)),
                ("model", .string(model)),
                (
                    "choices",
                    [
                        [
                            "index": 0, "text": .string(word), "logprobs": nil,
                            "finish_reason": reason.map { .string($0) } ?? nil, "stop_reason": nil,
                            "prompt_token_ids": nil, "token_ids": nil,
                        ]
                    ]
                ),
            ]
            if reason != nil, !includesUsage { members.append(("system_fingerprint", .string(fingerprint))) }
            return [data(.object(members))]
        case .messages:
            return [
                named(
                    "content_block_delta",
                    [
                        ("type", "content_block_delta"),
                        ("delta", ["type": "text_delta", "text": .string(word)]), ("index", 0),
                    ])
            ]
        case .responses:
            return [
                numbered(
                    "response.output_text.delta", place + [("delta", .string(word)), ("logprobs", [])])
            ]
        }
    }

    private func chunk(_ delta: JSON, tokens: Int, reason: String? = nil, first: Bool = false) -> String {
        var choice: [(String, JSON)] = [
            ("index", 0), ("delta", delta), ("logprobs", nil), ("finish_reason", reason.map { .string($0) } ?? nil),
        ]
        if reason != nil { choice.append(("stop_reason", nil)) }
        if !first { choice.append(("token_ids", nil)) }
        var members: [(String, JSON)] = [
            ("id", .string(id)), ("object", "chat.completion.chunk"), ("created", .integer(created)),
            ("model", .string(model)), ("choices", [.object(choice)]),
        ]
        if continuousUsage {
            members.append(("usage", .object(usage(tokens) + [("completion_tokens_details", nil)])))
        }
        if first { members += [("prompt_token_ids", nil), ("prompt_text", nil)] }
        if reason != nil, !includesUsage { members.append(("system_fingerprint", .string(fingerprint))) }
        return data(.object(members))
    }

    /// The end of a stream that went well.
    func end(text: String, tokens: Int, reason: String) -> [String] {
        switch dialect {
        case .chat, .completions:
            guard includesUsage else { return ["data: [DONE]\n\n"] }
            let object: JSON = dialect == .chat ? "chat.completion.chunk" : "text_completion"
            let last: JSON = [
                "id": .string(id), "object": object, "created": .integer(created), "model": .string(model),
                "choices": [], "usage": .object(usage(tokens)), "system_fingerprint": .string(fingerprint),
            ]
            return [data(last), "data: [DONE]\n\n"]
        case .messages:
            return [
                named("content_block_stop", [("type", "content_block_stop"), ("index", 0)]),
                named(
                    "message_delta",
                    [
                        ("type", "message_delta"),
                        ("delta", ["stop_reason": .string(Self.stopReason(reason)), "stop_sequence": nil]),
                        ("usage", ["input_tokens": .integer(promptTokens), "output_tokens": .integer(tokens)]),
                    ]),
                named("message_stop", [("type", "message_stop")]),
            ]
        case .responses:
            return [
                numbered("response.output_text.done", place + [("logprobs", []), ("text", .string(text))]),
                numbered("response.content_part.done", place + [("part", part(text, logprobs: nil))]),
                numbered("response.output_item.done", [("item", outputItem(text)), ("output_index", 0)]),
                numbered(
                    "response.completed", [("response", whole(text: text, tokens: tokens, reason: reason))]),
            ]
        }
    }

    /// What a stream says when the engine has died.
    func failure() -> [String] {
        switch dialect {
        case .chat, .completions:
            let error = ErrorBody.openAI(ErrorBody.engineDead, type: "InternalServerError", code: 500)
            return ["data: \(error.text(spaced: true))\n\n", "data: [DONE]\n\n"]
        case .messages:
            // What vLLM really says here: its own error event is no chunk of a chat, and it trips over that.
            let text = "2 validation errors for ChatCompletionStreamResponse\nmodel\n  Field required"
            return [
                named("error", [("type", "error"), ("error", ["type": "internal_error", "message": .string(text)])])
            ]
        case .responses:
            return [
                numbered(
                    "response.failed",
                    [("response", response(status: "failed", text: nil, tokens: 0, reason: nil))])
            ]
        }
    }
}
