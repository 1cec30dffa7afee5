import Fleet
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Answers the admin side's requests: finds the route, asks ``AdminAccess``, asks the daemon.
struct AdminResponder: Sendable {
    /// The daemon.
    let control: any DaemonControl
    /// What opens the admin side.
    let token: CurrentAdminToken
    /// Who has logged in.
    let sessions: AdminSessions
    /// Where the listener that took the request is.
    let access: AdminAccess
    /// The session cookie's name: cookies know no ports, so that two daemons on one host would share one.
    let cookieName: String
    /// For refused and failed commands.
    let logger: Logger

    /// The longest request body, in bytes.
    static let longestBody = 64 << 10

    /// Answers one request; never throws, every error has its envelope.
    func respond(to request: Request) async -> Response {
        var response: Response
        do {
            response = try await answer(request)
        } catch let error as AdminError {
            response = error.response
        } catch let failure as ControlFailure {
            response = AdminError.from(failure).response
        } catch {
            logger.error("An admin request failed", metadata: ["error": "\(error)"])
            response =
                AdminError(
                    status: .internalServerError, code: "internal",
                    message: "the request failed; the daemon's log says why"
                ).response
        }
        for (name, value) in Self.securityHeaders { response.headers[name] = value }
        if request.method == .head {
            let length = response.headers[.contentLength]
            response.body = ResponseBody()
            response.headers[.contentLength] = length
        }
        return response
    }

    /// On every response: nothing is framed, sniffed, cached or loaded from elsewhere.
    static let securityHeaders: [(HTTPField.Name, String)] = {
        func name(_ text: String) -> HTTPField.Name { HTTPField.Name(text)! }
        let policy =
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        return [
            (.contentSecurityPolicy, policy),
            (.xContentTypeOptions, "nosniff"),
            (.cacheControl, "no-store"),
            (name("Referrer-Policy"), "same-origin"),
            (name("X-Frame-Options"), "DENY"),
            (name("Cross-Origin-Resource-Policy"), "same-origin"),
        ]
    }()

    private func answer(_ request: Request) async throws -> Response {
        let route: AdminRoute
        switch AdminRoute.match(method: request.method.rawValue, path: request.uri.path) {
        case .route(let found): route = found
        case .methodNotAllowed(let methods):
            throw AdminError(
                status: .methodNotAllowed, code: "method_not_allowed",
                message: "\(request.uri.path) takes \(methods.joined(separator: ", "))",
                headers: [.allow: methods.joined(separator: ", ")])
        case .unknown:
            throw AdminError(
                status: .notFound, code: "unknown_route",
                message: "there is nothing here: the API is under /api/v1, the models are on the gateway's own port")
        }
        let claim = claim(of: request)
        switch access.decide(route, claim) {
        case .allowed: break
        case .malformed(let reason): throw AdminError.badRequest(reason)
        case .forbidden(let reason): throw AdminError(status: .forbidden, code: "forbidden", message: reason)
        case .unauthorized:
            if route == .dashboard, wantsHTML(request) {
                return html(Dashboard.login(failed: false), status: .unauthorized)
            }
            throw AdminError(
                status: .unauthorized, code: "invalid_token",
                message: "this wants the admin token, as 'Authorization: Bearer TOKEN': 'stoker token' prints it; "
                    + "the gateway's master key is not it",
                headers: [.wwwAuthenticate: "Bearer realm=\"stoker admin\""])
        }
        return try await perform(route, request, claim)
    }

    private func perform(_ route: AdminRoute, _ request: Request, _ claim: AdminAccess.Claim) async throws -> Response {
        switch route {
        case .dashboard: return file("index.html")
        case .dashboardPart(let name): return file(name)
        case .loginPage: return html(Dashboard.login(failed: false))
        case .loginStyle: return file("login.css")
        case .login: return try await login(request)
        case .logout: return logout(request)
        case .session:
            let isIn = access.reach == .unix || claim.hasToken || claim.hasSession
            return AdminJSON.response(["logged_in": isIn])
        case .status: return AdminJSON.response(await control.status())
        case .events: return events(request)
        case .history: return AdminJSON.response(await control.history())
        case .timeline: return try await timeline(request)
        case .metrics: return prometheus(await control.metrics())
        case .engineMetrics: return prometheus(await control.engineMetrics())
        case .healthz: return AdminJSON.response(["status": "ok"])
        case .readyz: return readiness(await control.status())
        case .logs(let name): return try await logs(of: name, request)
        case .act(let command, let name): return try await act(command, on: name, request)
        case .attach(let name): return try await attach(name, request)
        case .detach(let name):
            try await control.detach(name: name)
            return AdminJSON.response(Outcome(command: "detach", name: name, outcome: "done"))
        case .reload: return try await reload(request)
        case .tryChat: return try await tryChat(request)
        }
    }

    private func readiness(_ report: StatusReport) -> Response {
        struct Body: Encodable {
            var ready: Bool
            var reason: String
        }
        return AdminJSON.response(
            Body(ready: report.ready, reason: report.readyReason), status: report.ready ? .ok : .serviceUnavailable)
    }

    /// What a request shows for itself.
    private func claim(of request: Request) -> AdminAccess.Claim {
        func only(_ name: HTTPField.Name) -> String? {
            let values = request.headers[values: name]
            return values.count == 1 ? values[0] : values.isEmpty ? nil : ""
        }
        return AdminAccess.Claim(
            // A second Host is in the headers: with two of them nobody knows which one the browser meant.
            host: request.headers[values: .init("Host")!].isEmpty ? request.head.authority : nil,
            origin: only(.origin), fetchSite: only(.init("Sec-Fetch-Site")!),
            hasToken: bearer(of: request).map(token.matches) ?? false,
            hasSession: session(of: request) != nil)
    }

    /// The word after `Bearer`, whose case does not matter.
    private func bearer(of request: Request) -> Substring? {
        guard let value = request.headers[.authorization] else { return nil }
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return Substring(parts[1].trimmingSpaces)
    }

    /// The name of the living session that the request's cookie names.
    func session(of request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for cookie in header.split(separator: ";") {
                let parts = cookie.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].trimmingSpaces == cookieName else { continue }
                let name = parts[1].trimmingSpaces
                if sessions.isAlive(name, at: .now()) { return name }
            }
        }
        return nil
    }

    /// Whether a person's browser asks for a page.
    func wantsHTML(_ request: Request) -> Bool { request.headers[.accept]?.contains("text/html") == true }

    /// A page.
    func html(_ page: String, status: HTTPResponse.Status = .ok) -> Response {
        text(page, "text/html; charset=utf-8", status: status)
    }

    /// Prometheus' text format.
    private func prometheus(_ metrics: String) -> Response {
        text(metrics, "text/plain; version=0.0.4; charset=utf-8")
    }

    /// A file of the dashboard's.
    private func file(_ name: String) -> Response {
        guard let file = Dashboard.files[name] else { return Response(status: .notFound) }
        return Response(
            status: .ok, headers: [.contentType: file.type],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }

    /// A text of a type.
    func text(_ text: String, _ type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// A request's body, at most ``longestBody``.
    func body(of request: Request) async throws -> ByteBuffer {
        do {
            return try await request.body.collect(upTo: Self.longestBody)
        } catch is NIOTooManyBytesError {
            throw AdminError(
                status: .contentTooLarge, code: "too_large", message: "the body is over \(Self.longestBody) bytes")
        }
    }

    /// The body of an action's answer.
    struct Outcome: Encodable {
        var command: String
        var name: String
        /// `done`, or `accepted` where nobody waits.
        var outcome: String
    }
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    var trimmingSpaces: String {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}
