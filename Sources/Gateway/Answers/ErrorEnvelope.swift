/// Errors as bodies and as the last event of a stream, in each dialect.
enum ErrorEnvelope {
    /// The body of an error response.
    static func body(_ code: ErrorCode, _ message: [UInt8], dialect: Dialect, param: StaticString? = nil) -> [UInt8] {
        switch dialect {
        case .anthropic:
            return text(#"{"type":"error","error":{"type":""#) + text(anthropicType(code.status))
                + text(#"","message":"#)
                + JSONString.encode(message) + text(#","code":""#) + text(code.code) + text(#""}}"#)
        case .openAI, .responses:
            let name = param.map { text("\"") + text($0) + text("\"") } ?? text("null")
            return text(#"{"error":{"message":"#) + JSONString.encode(message) + text(#","type":""#)
                + text(openAIType(code.status)) + text(#"","param":"#) + name + text(#","code":""#)
                + text(code.code) + text(#""}}"#)
        }
    }

    /// The event that ends a stream whose server was lost.
    static func event(_ code: ErrorCode, dialect: Dialect, sequence: Int, responseID: [UInt8]) -> [UInt8] {
        let message = text(code.message)
        switch dialect {
        case .openAI: return text("data: ") + body(code, message, dialect: .openAI) + text("\n\n")
        case .anthropic: return text("event: error\ndata: ") + body(code, message, dialect: .anthropic) + text("\n\n")
        case .responses:
            return text("event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":\(sequence)")
                + text(#","response":{"id":"#) + JSONString.encode(responseID)
                + text(#","object":"response","created_at":0,"status":"failed","error":{"code":""#) + text(code.code)
                + text(#"","message":"#) + JSONString.encode(message)
                + text(#"},"incomplete_details":null,"model":"","output":[],"parallel_tool_calls":true,"#)
                + text(#""tool_choice":"auto","tools":[]}}"#) + text("\n\n")
        }
    }

    private static func openAIType(_ status: Int) -> StaticString {
        switch status {
        case 401: return "authentication_error"
        case 403: return "permission_error"
        case 404: return "not_found_error"
        case 429: return "rate_limit_error"
        case 500...: return "server_error"
        default: return "invalid_request_error"
        }
    }

    private static func anthropicType(_ status: Int) -> StaticString {
        switch status {
        case 401: return "authentication_error"
        case 403: return "permission_error"
        case 404: return "not_found_error"
        case 413: return "request_too_large"
        case 429: return "rate_limit_error"
        case 503: return "overloaded_error"
        case 504: return "timeout_error"
        case 500...: return "api_error"
        default: return "invalid_request_error"
        }
    }

    private static func text(_ literal: StaticString) -> [UInt8] { ByteView(literal).array }
    private static func text(_ string: String) -> [UInt8] { Array(string.utf8) }
}
