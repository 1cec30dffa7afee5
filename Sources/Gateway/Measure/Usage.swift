import CLinux

/// The `usage` of an answer, read in passing: OpenAI's names and Anthropic's.
struct Usage: Equatable {
    /// The most bytes looked through, from the end.
    static let reach = 16 << 10
    /// As many bytes as surely hold the object: what is kept of one read for the next.
    static let seam = 1 << 10

    /// Tokens of the request; nil where they are not told.
    var prompt: Int?
    /// Tokens of the answer.
    var completion: Int?

    /// The last `usage` object in some bytes, by its own members; nil without one. It is looked for from the end,
    /// brace by brace, where servers put it, and from the beginning where too much stands behind it (`prompt_logprobs`).
    /// A quote within a JSON string has a backslash before it, so no text of a model is taken for it.
    static func find(_ view: ByteView) -> Usage? {
        let bytes = view.count > reach ? view.dropping(view.count - reach) : view
        var last = bytes.count
        var usage: Usage?
        for _ in 0..<braces {
            guard let found = stoker_memrchr(bytes.base, 0x7b, last) else {
                return usage ?? (bytes.count == view.count ? nil : findForward(view))
            }
            last = UnsafeRawPointer(found) - UnsafeRawPointer(bytes.base)
            guard follows(bytes, last), let earlier = read(bytes, last) else { continue }
            usage = usage?.filled(by: earlier) ?? earlier
            if usage?.prompt != nil, usage?.completion != nil { return usage }
        }
        return usage ?? findForward(view)
    }

    private static func findForward(_ view: ByteView) -> Usage? {
        var usage: Usage?
        var at = 0
        while let found = view.firstIndex(of: "\"usage\":", from: at) {
            at = found + 8
            while at < view.count, view[at] == 0x20 { at += 1 }
            guard at < view.count, view[at] == 0x7b, let later = read(view, at) else { continue }
            usage = usage.map { later.filled(by: $0) } ?? later
        }
        return usage
    }

    /// Its own numbers, and an earlier one's where it has none: Anthropic's tell them in two events.
    private func filled(by earlier: Usage) -> Usage {
        Usage(prompt: prompt ?? earlier.prompt, completion: completion ?? earlier.completion)
    }

    /// The most objects that may begin behind it.
    private static let braces = 32

    /// Whether the object at a place is the value of `usage`.
    @inline(__always) private static func follows(_ bytes: ByteView, _ at: Int) -> Bool {
        var end = at
        while end > 0, bytes[end &- 1] == 0x20 { end &-= 1 }
        return end >= 8 && bytes.slice(end &- 8, end).equals("\"usage\":")
    }

    /// Reads the object's members, key by key, until both numbers are known.
    private static func read(_ bytes: ByteView, _ last: Int) -> Usage? {
        let object = bytes.slice(last, min(bytes.count, last + 512))
        var usage = Usage()
        var at = 0
        while let start = object.firstIndex(of: 0x22, from: at), usage.prompt == nil || usage.completion == nil {
            guard let end = object.firstIndex(of: 0x22, from: start + 1) else { break }
            let key = object.slice(start + 1, end)
            at = end + 1
            switch key.count {
            case 12 where key.equals("input_tokens"), 13 where key.equals("prompt_tokens"):
                usage.prompt = usage.prompt ?? number(object, at)
            case 13 where key.equals("output_tokens"), 17 where key.equals("completion_tokens"):
                usage.completion = usage.completion ?? number(object, at)
            default: break
            }
        }
        return usage.prompt == nil && usage.completion == nil ? nil : usage
    }

    /// The number behind a key's colon.
    private static func number(_ view: ByteView, _ from: Int) -> Int? {
        guard from < view.count, view[from] == 0x3a else { return nil }
        var start = from + 1
        while start < view.count, view[start] == 0x20 { start += 1 }
        var end = start
        while end < view.count, view[end] &- 0x30 < 10 { end += 1 }
        // A number at the very end may go on in bytes that have not come.
        return end == view.count ? nil : RequestHeadParser.decimal(view.slice(start, end))
    }

    /// Whether bytes of an event stream end with an event's end, perhaps with its chunk's end behind it.
    static func endsEvent(_ view: ByteView) -> Bool {
        var end = view.count
        if end >= 4, view[end - 2] == 0x0d, view[end - 1] == 0x0a, view[end - 3] == 0x0a { end -= 2 }
        return end >= 2 && view[end - 1] == 0x0a && view[end - 2] == 0x0a
    }

    /// Whether an event stream's bytes may tell of `usage`: not where they end with a filled `choices`, as a piece of
    /// text does, and `usage` would stand behind it. What stands behind `usage` is the server's to choose: vLLM 0.32 has
    /// its `system_fingerprint` there. Five bytes are looked at.
    @inline(__always) static func mayTell(_ view: ByteView) -> Bool {
        guard view.count >= 7 else { return false }
        var end = view.count
        if view[end &- 2] == 0x0d, view[end &- 1] == 0x0a { end &-= 2 }
        guard view[end &- 1] == 0x0a, view[end &- 2] == 0x0a else { return true }
        return view[end &- 3] != 0x7d || view[end &- 4] != 0x5d || view[end &- 5] != 0x7d
    }
}
