/// How a response's body ends (RFC 9112 §6.3).
enum BodyEnd: UInt8 {
    /// There is none.
    case none
    /// After Content-Length bytes.
    case length
    /// After the last chunk.
    case chunked
    /// When the connection closes.
    case close
}

/// A server's response head, checked.
struct ResponseHead {
    /// The whole head's length, its empty line included.
    var length = 0
    /// The status, 100–599.
    var status = 0
    /// Where the first field line begins.
    var fieldsStart = 0
    /// The number of fields in the table.
    var fieldCount = 0
    /// Content-Length; -1 without one.
    var contentLength = -1
    /// How the body ends.
    var bodyEnd = BodyEnd.close
    /// Whether the server closes the connection afterwards.
    var closes = false
    /// Whether the body is `text/event-stream`.
    var isEventStream = false
}
