/// Tells an engine's bytes in an event stream from those that vLLM's front end sends while the engine is silent, hung for
/// instance: a stream's comments (`--sse-keep-alive-interval`), its end, and the first two events of Responses.
enum LifeSign {
    /// So many events begin a Responses stream before the engine is asked: `response.created`, `response.in_progress`.
    static let openingEvents = 2

    /// The longest read that is taken for a comment.
    private static let longestComment = 96

    /// Whether one read of a stream, framing and all, is a comment (its first line begins with a colon: WHATWG HTML
    /// §9.2.6) or the bare end of a chunked body.
    @inline(__always) static func isSilence(_ view: ByteView, isChunked: Bool) -> Bool {
        view.count <= longestComment && beginsWithColon(view, isChunked: isChunked)
    }

    private static func beginsWithColon(_ view: ByteView, isChunked: Bool) -> Bool {
        guard isChunked else { return view.count > 0 && view[0] == 0x3a }
        guard let feed = view.firstIndex(of: 0x0a, from: 0), feed + 1 < view.count else { return false }
        return view[feed + 1] == 0x3a || view.equals("0\r\n\r\n")
    }

    /// Whether one read of a Responses stream that has just begun tells only that it has.
    static func isOpening(_ view: ByteView) -> Bool {
        guard view.contains("\"response.created\"") || view.contains("\"response.in_progress\"") else { return false }
        return !view.contains("\"response.output_item.added\"")
    }
}
