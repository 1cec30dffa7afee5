/// Why a request's JSON body is refused.
enum JSONFailure: UInt8, Error {
    case syntax, byteOrderMark, utf8, depth, notAnObject, duplicateModel, modelNotString, truncated

    /// A sentence for the client.
    var message: StaticString {
        switch self {
        case .syntax: return "The body is not valid JSON (RFC 8259)."
        case .byteOrderMark: return "The body begins with a byte order mark. Send UTF-8 without one."
        case .utf8: return "The body is not valid UTF-8."
        case .depth: return "The body nests deeper than 128 levels."
        case .notAnObject: return "The body must be a JSON object."
        case .duplicateModel: return "The body holds the key `model` more than once."
        case .modelNotString: return "The value of `model` must be a string."
        case .truncated: return "The body ends in the middle of its JSON."
        }
    }
}
