import Fleet
import HTTPTypes
import Hummingbird
import HummingbirdCore

extension AdminResponder {
    /// The token, from the page's form or as JSON `{"token": …}`, for a session's cookie.
    func login(_ request: Request) async throws -> Response {
        struct Credentials: Decodable {
            var token: String
        }
        let buffer = try await body(of: request)
        let isForm = request.headers[.contentType]?.hasPrefix("application/x-www-form-urlencoded") == true
        let candidate: String
        if isForm {
            candidate = URI("/?" + String(buffer: buffer)).queryParameters["token"].map(String.init) ?? ""
        } else {
            candidate = try AdminJSON.decode(Credentials.self, from: buffer).token
        }
        guard token.matches(candidate.trimmingSpaces) else {
            // Not for the token's sake, which has 256 bits; for the one that somebody chose.
            try? await Task.sleep(for: .milliseconds(300))
            logger.warning("An admin login was refused")
            if isForm { return html(Dashboard.login(failed: true), status: .unauthorized) }
            throw AdminError(
                status: .unauthorized, code: "invalid_token",
                message: "this is not the admin token: 'stoker token' prints it; the gateway's master key is not it")
        }
        let name = sessions.begin(at: .now())
        var response =
            isForm ? Response(status: .seeOther, headers: [.location: "/"]) : AdminJSON.response(["logged_in": true])
        let age = AdminSessions.lifetime.components.seconds
        response.headers[.setCookie] = "\(cookieName)=\(name); Path=/; Max-Age=\(age); HttpOnly; SameSite=Strict"
        return response
    }

    /// Ends the session.
    func logout(_ request: Request) -> Response {
        if let name = session(of: request) { sessions.end(name) }
        var response =
            wantsHTML(request)
            ? Response(status: .seeOther, headers: [.location: "/"]) : AdminJSON.response(["logged_in": false])
        response.headers[.setCookie] = "\(cookieName)=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        return response
    }
}
