/// A method, as far as routes care.
enum Method: UInt8 {
    case get, head, post, put, delete, options, patch, other

    /// The method of exactly this name; methods are case-sensitive (RFC 9110 §9.1).
    @inline(__always) static func of(_ name: ByteView) -> Method {
        if name.equals("POST") { return .post }
        if name.equals("GET") { return .get }
        if name.equals("HEAD") { return .head }
        if name.equals("PUT") { return .put }
        if name.equals("DELETE") { return .delete }
        if name.equals("OPTIONS") { return .options }
        if name.equals("PATCH") { return .patch }
        return .other
    }
}

/// A request's head, checked: offsets into its bytes, and what follows from its fields.
struct RequestHead {
    /// The whole head's length, its empty line included.
    var length = 0
    /// The method.
    var method = Method.other
    /// The method's name is the first bytes, this many.
    var methodLength = 0
    /// Where the path begins: after scheme and authority of an absolute-form target.
    var pathStart = 0
    /// The path's length, without the query.
    var pathLength = 0
    /// The query's length with its question mark, right behind the path; 0 without one.
    var queryLength = 0
    /// Whether the client speaks HTTP/1.0.
    var isVersion10 = false
    /// The number of fields in the table.
    var fieldCount = 0
    /// Content-Length; -1 without one.
    var contentLength = -1
    /// Whether the body comes in chunks.
    var isChunked = false
    /// Whether the connection ends after the response (RFC 9112 §9.3).
    var closes = false
    /// Whether `Expect: 100-continue` is there.
    var expectsContinue = false
    /// Whether `Expect` asks for something else.
    var expectsUnknown = false
    /// Indices of fields; -1 where absent.
    var host = -1
    var authorization = -1
    var apiKey = -1
    var contentType = -1
    var requestID = -1
    var origin = -1
    /// Whether one of these came twice.
    var hasDuplicateCredentials = false
    /// Whether `Content-Encoding` is other than identity.
    var isEncoded = false
    /// Whether `anthropic-version` is there.
    var isAnthropic = false
    /// Whether `Upgrade` is there.
    var upgrades = false

    /// Whether a body follows.
    var hasBody: Bool { isChunked || contentLength > 0 }
}
