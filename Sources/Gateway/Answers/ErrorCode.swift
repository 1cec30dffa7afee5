/// The errors that are the gateway's own, with their status and words.
enum ErrorCode: UInt8 {
    case invalidJSON, invalidRequest, invalidPath, invalidHost, invalidAPIKey, foreignOrigin, routeNotAllowed
    case modelNotFound, unknownRoute, providerNotFound, responseNotFound
    case methodNotAllowed, requestTimeout, lengthRequired, bodyTooLarge, unsupportedMediaType, headTooLarge
    case expectationFailed, queueFull, notImplemented, versionNotSupported, internalError
    case upstreamAuth, upstreamError, upstreamLost, modelUnavailable, modelLoading, queueTimeout
    case firstByteTimeout, upstreamTimeout

    /// The status.
    var status: Int {
        switch self {
        case .invalidJSON, .invalidRequest, .invalidPath, .invalidHost: return 400
        case .invalidAPIKey: return 401
        case .foreignOrigin, .routeNotAllowed: return 403
        case .modelNotFound, .unknownRoute, .providerNotFound, .responseNotFound: return 404
        case .methodNotAllowed: return 405
        case .requestTimeout: return 408
        case .lengthRequired: return 411
        case .bodyTooLarge: return 413
        case .unsupportedMediaType: return 415
        case .expectationFailed: return 417
        case .queueFull: return 429
        case .headTooLarge: return 431
        case .internalError: return 500
        case .notImplemented: return 501
        case .upstreamAuth, .upstreamError, .upstreamLost: return 502
        case .modelUnavailable, .modelLoading, .queueTimeout: return 503
        case .firstByteTimeout, .upstreamTimeout: return 504
        case .versionNotSupported: return 505
        }
    }

    /// The word in `code`.
    var code: StaticString {
        switch self {
        case .invalidJSON: return "invalid_json"
        case .invalidRequest, .invalidHost: return "invalid_request"
        case .invalidPath: return "invalid_path"
        case .invalidAPIKey: return "invalid_api_key"
        case .foreignOrigin: return "origin_not_allowed"
        case .routeNotAllowed: return "route_not_allowed"
        case .modelNotFound: return "model_not_found"
        case .unknownRoute: return "unknown_route"
        case .providerNotFound: return "provider_not_found"
        case .responseNotFound: return "response_not_found"
        case .methodNotAllowed: return "method_not_allowed"
        case .requestTimeout: return "request_timeout"
        case .lengthRequired: return "length_required"
        case .bodyTooLarge: return "request_too_large"
        case .unsupportedMediaType: return "unsupported_media_type"
        case .headTooLarge: return "headers_too_large"
        case .expectationFailed: return "expectation_failed"
        case .queueFull: return "queue_full"
        case .notImplemented: return "not_implemented"
        case .versionNotSupported: return "version_not_supported"
        case .internalError: return "internal_error"
        case .upstreamAuth: return "upstream_auth"
        case .upstreamError: return "upstream_error"
        case .upstreamLost: return "upstream_lost"
        case .modelUnavailable: return "model_unavailable"
        case .modelLoading: return "model_loading"
        case .queueTimeout: return "queue_timeout"
        case .firstByteTimeout: return "first_byte_timeout"
        case .upstreamTimeout: return "upstream_timeout"
        }
    }

    /// What is said when there is nothing more particular to say.
    var message: StaticString {
        switch self {
        case .invalidAPIKey:
            return
                "Incorrect or missing API key. Send the gateway's master key as `Authorization: Bearer KEY` or `x-api-key: KEY`."
        case .foreignOrigin:
            return "This gateway has no key and answers no pages of other origins. Configure a master key."
        case .invalidHost:
            return
                "This gateway has no key and answers only to loopback names and its own address. Configure a master key."
        case .unknownRoute: return "No such route. See GET /v1/models and the documentation for what is served here."
        case .methodNotAllowed: return "This route does not take this method; see the Allow header."
        case .requestTimeout: return "The request did not arrive in time. Send it again."
        case .lengthRequired: return "Send a Content-Length, or Transfer-Encoding: chunked."
        case .bodyTooLarge: return "The request's body is larger than this gateway allows (limits.body)."
        case .unsupportedMediaType:
            return "Send the body as Content-Type: application/json, without a Content-Encoding."
        case .expectationFailed: return "The only Expect understood here is 100-continue."
        case .queueFull: return "Every instance of this model is at its limit. Try again after the time in retry-after."
        case .notImplemented:
            return
                "The realtime API (/v1/realtime, an Upgrade to WebSocket) is not served here. Use POST /v1/chat/completions with \"stream\": true."
        case .versionNotSupported: return "Only HTTP/1.0 and HTTP/1.1 are spoken here."
        case .upstreamAuth:
            return
                "The model server refused the gateway's own key for it. The gateway's operator must correct this provider's api_key."
        case .upstreamError: return "The model server's answer was not usable. Try again; the gateway's log says more."
        case .upstreamLost: return "The connection to the model server was lost. Try again."
        case .modelUnavailable:
            return "The model's server cannot be reached at this moment. Try again after the time in retry-after."
        case .upstreamTimeout: return "The model server did not take the connection in time. Try again."
        case .firstByteTimeout: return "The model server did not begin its answer in time. Try again."
        case .queueTimeout: return "No instance of this model became free in time. Try again."
        case .responseNotFound:
            return
                "No instance knows this response. vLLM keeps responses only with VLLM_ENABLE_RESPONSES_API_STORE=1, and only as long as its process lives."
        case .invalidPath:
            return
                "The path holds `.` or `..` segments, `//`, a backslash or needlessly encoded characters. Send it plainly."
        default: return "The request cannot be served."
        }
    }

    /// Whether `retry-after` goes with it.
    var hasRetryAfter: Bool {
        switch self {
        case .queueFull, .modelUnavailable, .modelLoading, .queueTimeout: return true
        default: return false
        }
    }
}
