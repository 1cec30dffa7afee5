/// Judges the beginning of a held response: whether it says anything yet, and whether what it says is better tried
/// elsewhere. vLLM sends 200 and the role before the engine has done anything.
enum StreamStart: Equatable {
    /// Only comments and empty role deltas so far.
    case undecided
    /// Something that the client should have.
    case content
    /// The first event is an error.
    case error
    /// The engine gave up without a token: vLLM does that while it shuts down.
    case aborted

    /// Judges the payload of an event stream, from its beginning.
    static func judge(_ payload: ByteView) -> StreamStart {
        var at = 0
        while true {
            guard let end = eventEnd(payload, at) else { return .undecided }
            let event = payload.slice(at, end)
            at = end
            switch kind(event) {
            case .undecided: continue
            case let verdict: return verdict
            }
        }
    }

    /// Whether a whole body that is not a stream is an abort without a token.
    static func isEmptyAbort(_ body: ByteView) -> Bool {
        guard let found = body.firstIndex(of: "\"abort\"") else { return false }
        guard precedes(body, found, "finish_reason") else { return false }
        return body.contains("\"completion_tokens\":0") || body.contains("\"completion_tokens\": 0")
    }

    /// Whether a 500 says that the engine behind the server is dead.
    static func isEngineDead(_ body: ByteView) -> Bool {
        body.contains("EngineCore") || body.contains("EngineDead") || body.contains("Engine process")
    }

    /// Behind the empty line that ends the event from `start`, or nil.
    private static func eventEnd(_ view: ByteView, _ start: Int) -> Int? {
        var at = start
        while let feed = view.firstIndex(of: 0x0a, from: at) {
            at = feed + 1
            if at < view.count, view[at] == 0x0a { return at + 1 }
            if at + 1 < view.count, view[at] == 0x0d, view[at + 1] == 0x0a { return at + 2 }
        }
        return nil
    }

    private static func kind(_ event: ByteView) -> StreamStart {
        var hasData = false
        var start = 0
        while start < event.count {
            let end = event.firstIndex(of: 0x0a, from: start) ?? event.count
            let line = event.slice(start, end)
            start = end + 1
            if line.hasPrefix("event:") {
                let name = line.dropping(6).trimmed()
                if name.hasPrefix("error") || name.hasPrefix("response.failed") { return .error }
                continue
            }
            guard line.hasPrefix("data:") else { continue }
            hasData = true
            let data = line.dropping(5).trimmed()
            // vLLM drops chunks without a token, the one with `finish_reason` "abort" too: what is left of an abort is
            // the end of a stream that has said nothing, perhaps behind a usage of nothing.
            if data.equals("[DONE]") { return .aborted }
            if data.contains("\"choices\":[]"), data.contains("\"completion_tokens\":0") { continue }
            if data.hasPrefix("{\"error\":") || data.hasPrefix("{\"error\" :") { return .error }
            if let abort = data.firstIndex(of: "\"abort\""), precedes(data, abort, "finish_reason") {
                return saysNothing(data) ? .aborted : .content
            }
            if !(data.contains("\"role\":\"assistant\"") && saysNothing(data)) { return .content }
        }
        return hasData || !event.contains(":") ? .undecided : isComment(event) ? .undecided : .content
    }

    /// Whether every line is a comment or empty.
    private static func isComment(_ event: ByteView) -> Bool {
        var start = 0
        while start < event.count {
            let end = event.firstIndex(of: 0x0a, from: start) ?? event.count
            let first = event[start]
            if start < end, first != 0x3a, first != 0x0d { return false }
            start = end + 1
        }
        return true
    }

    /// Whether a chunk's content is empty: chat's `content`, completions' `text`.
    private static func saysNothing(_ data: ByteView) -> Bool {
        if data.contains("\"tool_calls\":[{") || data.contains("\"reasoning\":\"") { return false }
        if data.contains("\"reasoning_content\":\"") { return false }
        if data.contains("\"text\":") { return data.contains("\"text\":\"\"") }
        if data.contains("\"content\":") {
            return data.contains("\"content\":\"\"") || data.contains("\"content\":null")
        }
        return true
    }

    /// Whether a key stands right before the value at `at`, a colon and spaces between.
    private static func precedes(_ view: ByteView, _ at: Int, _ key: StaticString) -> Bool {
        var end = at
        while end > 0, view[end - 1] == 0x20 || view[end - 1] == 0x3a || view[end - 1] == 0x22 { end -= 1 }
        let length = key.utf8CodeUnitCount
        return end >= length && view.slice(end - length, end).equals(key)
    }
}
