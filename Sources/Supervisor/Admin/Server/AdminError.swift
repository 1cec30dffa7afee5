import HTTPTypes
import Hummingbird

/// An answer that is an error: `{"error":{"message","code"}}`.
struct AdminError: Error, Sendable {
    /// The HTTP status.
    var status: HTTPResponse.Status
    /// For programs.
    var code: String
    /// For people: what is wrong and what to do.
    var message: String
    /// Headers beside the usual ones, such as `Allow`.
    var headers: HTTPFields = [:]

    /// What an error of the daemon comes to. `failed` is the status of what was tried and did not work.
    static func from(_ failure: ControlFailure, failed: HTTPResponse.Status = .internalServerError) -> AdminError {
        switch failure {
        case .noSuchInstance:
            return AdminError(status: .notFound, code: "no_such_instance", message: "\(failure)")
        case .invalid: return .badRequest("\(failure)")
        case .refused:
            return AdminError(status: .conflict, code: "refused", message: "\(failure)")
        case .failed:
            return AdminError(status: failed, code: "failed", message: "\(failure)")
        }
    }

    /// 400
    static func badRequest(_ message: String, code: String = "invalid_request") -> AdminError {
        AdminError(status: .badRequest, code: code, message: message)
    }

    /// The response.
    var response: Response {
        struct Body: Encodable {
            struct Detail: Encodable {
                var message: String
                var code: String
            }
            var error: Detail
        }
        var response = AdminJSON.response(Body(error: .init(message: message, code: code)), status: status)
        response.headers.append(contentsOf: headers)
        return response
    }
}
