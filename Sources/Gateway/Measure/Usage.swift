/// The `usage` of an answer, read in passing: OpenAI's names and Anthropic's.
struct Usage: Equatable {
    /// The most bytes looked through, from the end.
    static let reach = 16 << 10

    /// Tokens of the request; nil where they are not told.
    var prompt: Int?
    /// Tokens of the answer.
    var completion: Int?

    /// The last `usage` object in some bytes, by its own members; nil without one. A quote within a JSON string has a
    /// backslash before it, so no text of a model is taken for it.
    static func find(_ view: ByteView) -> Usage? {
        let bytes = view.count > reach ? view.dropping(view.count - reach) : view
        let key: StaticString = "\"usage\":"
        var last: Int?
        var from = 0
        while let found = bytes.firstIndex(of: key, from: from) {
            from = found + key.utf8CodeUnitCount
            var at = from
            while at < bytes.count, bytes[at] == 0x20 { at += 1 }
            if at < bytes.count, bytes[at] == 0x7b { last = at }
        }
        guard let last else { return nil }
        let object = bytes.slice(last, min(bytes.count, last + 512))
        var usage = Usage()
        usage.prompt = number("\"prompt_tokens\":", object) ?? number("\"input_tokens\":", object)
        usage.completion = number("\"completion_tokens\":", object) ?? number("\"output_tokens\":", object)
        return usage.prompt == nil && usage.completion == nil ? nil : usage
    }

    private static func number(_ key: StaticString, _ view: ByteView) -> Int? {
        guard let found = view.firstIndex(of: key) else { return nil }
        var start = found + key.utf8CodeUnitCount
        while start < view.count, view[start] == 0x20 { start += 1 }
        var end = start
        while end < view.count, view[end] &- 0x30 < 10 { end += 1 }
        // A number at the very end may go on in bytes that have not come.
        return end == view.count ? nil : RequestHeadParser.decimal(view.slice(start, end))
    }

    /// Whether an event stream's bytes end as one does that is no mere piece of text: with two closed objects, as
    /// `usage` stands, or with `[DONE]`. Four bytes are looked at.
    @inline(__always) static func mayEnd(_ view: ByteView) -> Bool {
        guard view.count >= 6 else { return false }
        var end = view.count
        if view[end &- 2] == 0x0d, view[end &- 1] == 0x0a { end &-= 2 }
        guard view[end &- 1] == 0x0a, view[end &- 2] == 0x0a else { return true }
        let tail = UInt16(view[end &- 4]) &<< 8 | UInt16(view[end &- 3])
        return tail == 0x7d7d || tail == 0x455d
    }
}
