/// Why a head is refused. The gateway rejects and never repairs: what was checked is what is forwarded.
enum HeadFailure: UInt8, Error {
    /// The request or status line is not what RFC 9112 §3 and §4 describe.
    case startLine
    /// A version other than HTTP/1.0 and HTTP/1.1.
    case version
    /// A target that is neither origin-form nor absolute-form with `http`.
    case target
    /// A field line that breaks RFC 9112 §5: bad name, space before the colon, control characters, a folded line.
    case field
    /// A line that ends in a bare line feed or holds a bare carriage return.
    case lineEnd
    /// More fields, or more bytes, than allowed.
    case tooLarge
    /// Content-Length is no number, comes twice, or stands beside Transfer-Encoding (RFC 9112 §6.3).
    case framing
    /// A Transfer-Encoding other than exactly `chunked`.
    case transferEncoding
    /// No Host, two, or one that is no host (RFC 9112 §3.2).
    case host

    /// A sentence for the client.
    var message: StaticString {
        switch self {
        case .startLine: return "The request line is malformed. Send METHOD SP target SP HTTP/1.1, ended by CR LF."
        case .version: return "Only HTTP/1.0 and HTTP/1.1 are spoken here."
        case .target: return "The request target is malformed. Send an absolute path such as /v1/models."
        case .field: return "A header field is malformed (RFC 9112, section 5)."
        case .lineEnd: return "Each line of the head must end in CR LF, with no other CR or LF in it."
        case .tooLarge: return "The request's header fields are too large. Send fewer or shorter ones."
        case .framing:
            return "The body's length is ambiguous: send one Content-Length, or Transfer-Encoding: chunked, not both."
        case .transferEncoding: return "The only Transfer-Encoding understood here is exactly `chunked`."
        case .host: return "HTTP/1.1 needs exactly one valid Host header field."
        }
    }
}
