import CLinux
import Glibc

/// Making text, streamed or not.
extension Exchange {
    /// How a generation ended.
    enum Ending {
        case finished(String)
        case dead
    }

    /// Thrown to end the exchange early with the connection cut.
    private func cut(reset: Bool = false) -> ClientGone {
        if reset {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                client.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
        return ClientGone()
    }

    mutating func generate(_ dialect: Dialect) throws(ClientGone) {
        guard let body = try object() else { return }
        switch dialect {
        case .chat where body["messages"] == nil: return try missing("messages", in: body)
        case .completions where body["prompt"] == nil: return try missing("prompt", in: body)
        case .responses where body["input"] == nil: return try missing("input", in: body)
        case .messages:
            for field in ["model", "messages", "max_tokens"] where body[field] == nil {
                return try missing(field, in: body)
            }
            guard body["max_tokens"]?.int != nil else {
                return try respond(
                    400,
                    ErrorBody.validation(
                        "int_type", at: "body.max_tokens", "Input should be a valid integer", input: "None"))
            }
        default: break
        }
        guard try modelIsKnown(body) else { return }
        if dialect != .messages, body["n"]?.int ?? 1 > 1, body["temperature"]?.double == 0 {
            return try fail(
                400, "n must be 1 when using greedy sampling, got \(body["n"]?.int ?? 1).", type: "BadRequestError")
        }
        if dialect == .responses, let previous = body["previous_response_id"]?.string,
            server.store[previous] == nil
        {
            return try unknownResponse(previous)
        }
        let generation = Generation(body: body, dialect: dialect, control: control, limit: options.maxModelLength)
        guard try fits(generation.promptTokens) else { return }
        if control.flag("busy"), server.controls.take("busy", of: control) {
            return try fail(503, ErrorBody.busy, type: "ServiceUnavailableError")
        }
        if server.link.deadSince != nil {
            try fail(500, ErrorBody.engineDead, type: "InternalServerError")
            return engineFailed()
        }
        if server.draining, !generation.promptIsTokens {
            return try fail(500, ErrorBody.shuttingDown, type: "InternalServerError", vary: dialect == .messages)
        }

        server.observations.inferenceBegan()
        defer { afterInference() }
        if body["stream"]?.bool == true {
            server.observations.streamOpened()
            defer { server.observations.streamClosed() }
            try stream(generation, body, dialect)
        } else {
            try whole(generation, body, dialect)
        }
    }

    private func afterInference() {
        let done = server.observations.inferenceEnded()
        if let most = control.int("exit_after_requests"), done >= most {
            server.exit(in: 0, code: Int32(control.int("exit_code") ?? 0))
        }
    }

    /// A request has met the dead engine: vLLM shuts down at once, unless told to live on.
    private func engineFailed() {
        guard !options.surviveEngine, control["engine_dead_exit_delay"] == nil else { return }
        server.exit(in: 0.1, code: 0)
    }

    // MARK: Tokens

    /// Asks the engine, and hands on each token as it comes. Comments are sent while a stream is idle.
    private mutating func tokens(
        _ generation: Generation, streaming: Bool, _ each: (_ index: Int, _ last: Bool) throws(ClientGone) -> Void
    ) throws(ClientGone) -> Ending {
        if control.flag("abort"), server.controls.take("abort", of: control) { return .finished("abort") }
        try hang()
        let interval = control.milliseconds("token_delay_ms") ?? 0.001
        let (id, inbox) = server.link.submit(
            tokens: generation.count, first: control.milliseconds("first_token_delay_ms") ?? 0, interval: interval,
            promptTokens: generation.promptTokens, promptHash: generation.promptHash)
        var finished = false
        defer { server.link.forget(id, finished: finished) }
        var made = 0
        while true {
            for event in inbox.take() {
                switch event {
                case .dead:
                    finished = true
                    return .dead
                case .aborted:
                    finished = true
                    return .finished("abort")
                case .token(let index, let last):
                    try misbehave(after: index, streaming: streaming)
                    finished = last
                    do {
                        try each(index, last)
                    } catch {
                        server.observations.clientAborted(request, tokens: made)
                        throw error
                    }
                    made += 1
                    if last { return .finished(generation.finish) }
                }
            }
            try waitForTokens(inbox, streaming: streaming, made: made)
        }
    }

    /// Nothing happens: until the fault is lifted in the file, or for ever when the request itself asked for it.
    func hang() throws(ClientGone) {
        guard control.flag("hang"), server.controls.take("hang", of: control) else { return }
        while server.controls.now.flag("hang") || ownFaults["hang"]?.bool == true {
            if client.isGone {
                server.observations.clientAborted(request, tokens: 0)
                throw ClientGone()
            }
            pause(seconds: 0.02)
        }
    }

    private func waitForTokens(
        _ inbox: EngineLink.Inbox, streaming: Bool, made: Int
    ) throws(ClientGone) {
        var entries = [
            pollfd(fd: inbox.signal, events: Int16(POLLIN), revents: 0),
            pollfd(fd: client.descriptor, events: peerClosed, revents: 0),
        ]
        let comments = streaming && options.sseKeepAlive > 0
        let ready = poll(&entries, 2, comments ? Int32(options.sseKeepAlive * 1000) : -1)
        if entries[1].revents != 0 {
            server.observations.clientAborted(request, tokens: made)
            throw ClientGone()
        }
        if ready == 0, comments { try client.event(": keep-alive\n\n") }
    }

    /// The faults that strike after so many tokens.
    private func misbehave(after index: Int, streaming: Bool) throws(ClientGone) {
        func strikes(_ key: String) -> Bool {
            control.int(key) == index && server.controls.take(key, of: control)
        }
        if strikes("stall_after_tokens") {
            while !client.isGone { pause(seconds: 0.02) }
            server.observations.clientAborted(request, tokens: index)
            throw ClientGone()
        }
        if strikes("cut_after_tokens") {
            try client.flushStream()
            throw cut()
        }
        if strikes("reset_after_tokens") { throw cut(reset: true) }
        if strikes("die_after_tokens") {
            try client.flushStream()
            switch control.string("die_how") ?? "exit" {
            case "kill": kill(getpid(), SIGKILL)
            case "engine": kill(server.link.pid, SIGKILL)
            default:
                kill(server.link.pid, SIGKILL)
                _exit(Int32(control.int("exit_code") ?? 1))
            }
        }
    }

    // MARK: Answers

    /// The id of an answer: the client's x-request-id, or one of ours.
    private func identifier(_ prefix: String) -> String { prefix + (request["x-request-id"] ?? randomHex()) }

    private mutating func whole(_ generation: Generation, _ body: JSON, _ dialect: Dialect) throws(ClientGone) {
        let failing = control.flag("error_first") || control["error_after_tokens"] != nil
        if failing, server.controls.take("error_first", of: control) {
            return try fail(500, ErrorBody.engineDead, type: "InternalServerError")
        }
        let shape = answerShape(body, generation, dialect)
        if dialect == .responses, body["background"]?.bool == true, options.responsesStore {
            let queued = shape.response(status: "queued", text: nil, tokens: 0, reason: nil)
            server.store[shape.id] = queued
            return try respond(200, queued)
        }
        var text = ""
        var count = 0
        let ending = try tokens(generation, streaming: false) { index, _ in
            text += generation.word(index)
            count += 1
        }
        guard case .finished(let reason) = ending else {
            try fail(500, ErrorBody.engineDead, type: "InternalServerError")
            return engineFailed()
        }
        let answer = shape.whole(text: text, tokens: count, reason: reason)
        if dialect == .responses, options.responsesStore { server.store[shape.id] = answer }
        try respond(200, answer)
    }

    private mutating func stream(_ generation: Generation, _ body: JSON, _ dialect: Dialect) throws(ClientGone) {
        let shape = answerShape(body, generation, dialect)
        try client.beginStream()
        if control.flag("error_first"), server.controls.take("error_first", of: control) {
            for event in shape.failure() { try client.event(event) }
            return try client.endStream()
        }
        let stopAt = control.int("error_after_tokens").flatMap {
            server.controls.take("error_after_tokens", of: control) ? $0 : nil
        }
        var text = ""
        var count = 0
        let client = self.client
        var begun = false
        if dialect == .responses {
            for event in shape.beforeTokens() { try client.event(event) }
        }
        let ending = try tokens(generation, streaming: true) { (index, last) throws(ClientGone) in
            if !begun {
                // With the first token, not before it.
                begun = true
                for event in shape.begin() { try client.event(event) }
            }
            if index == stopAt { return }
            if let stopAt, index > stopAt { return }
            let word = generation.word(index)
            text += word
            count += 1
            let reason = last ? generation.finish : nil
            for event in shape.token(word, count: count, reason: reason) { try client.event(event) }
        }
        if stopAt != nil {
            for event in shape.failure() { try client.event(event) }
            return try client.endStream()
        }
        switch ending {
        case .finished(let reason):
            if !begun, reason == "abort", dialect != .completions {
                for event in shape.begin() { try client.event(event) }
            }
            for event in shape.end(text: text, tokens: count, reason: reason) { try client.event(event) }
            if dialect == .responses, options.responsesStore {
                server.store[shape.id] = shape.whole(text: text, tokens: count, reason: reason)
            }
        case .dead:
            // /v1/responses breaks off; the others say what happened.
            if dialect == .responses { throw cut() }
            for event in shape.failure() { try client.event(event) }
        }
        try client.endStream()
    }

    private func answerShape(_ body: JSON, _ generation: Generation, _ dialect: Dialect) -> AnswerShape {
        let prefix =
            switch dialect {
            case .chat, .messages: "chatcmpl-"
            case .completions: "cmpl-"
            case .responses: "resp_"
            }
        return AnswerShape(
            id: identifier(prefix), dialect: dialect, model: modelName(body), body: body,
            promptTokens: generation.promptTokens, version: options.version)
    }

    // MARK: Stored responses

    mutating func unknownResponse(_ id: String) throws(ClientGone) {
        try respond(
            404,
            ErrorBody.openAI(
                "Response with id '\(id)' not found.", type: "invalid_request_error", param: "response_id", code: 404))
    }

    private var responseID: String {
        String(request.path.dropFirst("/v1/responses/".count).prefix { $0 != "/" })
    }

    mutating func storedResponse() throws(ClientGone) {
        guard let response = server.store[responseID] else { return try unknownResponse(responseID) }
        try respond(200, response)
    }

    mutating func cancelResponse() throws(ClientGone) {
        guard let response = server.store[responseID] else { return try unknownResponse(responseID) }
        guard response["background"]?.bool == true else {
            return try respond(
                400,
                ErrorBody.openAI(
                    "Cannot cancel a synchronous response.", type: "invalid_request_error", param: "response_id",
                    code: 400))
        }
        let cancelled = response.merging(["status": "cancelled"])
        server.store[responseID] = cancelled
        try respond(200, cancelled)
    }
}
