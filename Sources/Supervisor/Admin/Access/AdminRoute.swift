/// What can be asked of the admin side: a method and a path, understood.
enum AdminRoute: Hashable, Sendable {
    /// The dashboard's page, and a style or a module of it.
    case dashboard
    case dashboardPart(String)
    /// The login's page and style; the login itself; the end of a session; whether there is one.
    case loginPage, loginStyle, login, logout, session
    /// The present status, and all that follow.
    case status, events
    /// The last minutes in numbers; what happened.
    case history, timeline
    /// Prometheus text: the daemon's, and the engines' own.
    case metrics, engineMetrics
    /// For probes.
    case healthz, readyz
    /// An instance's output.
    case logs(String)
    /// A command to an instance or a whole provider.
    case act(OperatorCommand, String)
    /// Adds an attached instance.
    case attach(String)
    /// Removes one.
    case detach(String)
    /// Applies the configuration file anew, or tells what that would do.
    case reload
    /// A chat, relayed to the gateway with the key that the page has not.
    case tryChat

    /// What a method and a path come to.
    enum Match: Hashable, Sendable {
        /// A route.
        case route(AdminRoute)
        /// The path is known, the method is not: these are.
        case methodNotAllowed([String])
        /// Nothing is there.
        case unknown
    }

    /// Looks a request up. HEAD is answered where GET is.
    static func match(method: String, path: String) -> Match {
        let routes = routes(of: path)
        guard !routes.isEmpty else { return .unknown }
        if let route = routes[method == "HEAD" ? "GET" : method] { return .route(route) }
        return .methodNotAllowed((routes.keys + (routes["GET"] == nil ? [] : ["HEAD"])).sorted())
    }

    /// What is at a path, by method.
    private static func routes(of path: String) -> [String: AdminRoute] {
        switch path {
        case "/": return ["GET": .dashboard]
        case "/login": return ["GET": .loginPage, "POST": .login]
        case "/login.css": return ["GET": .loginStyle]
        case "/logout": return ["POST": .logout]
        case "/metrics": return ["GET": .metrics]
        case "/metrics/engines": return ["GET": .engineMetrics]
        case "/healthz": return ["GET": .healthz]
        case "/readyz": return ["GET": .readyz]
        case "/api/v1/status": return ["GET": .status]
        case "/api/v1/events": return ["GET": .events]
        case "/api/v1/history": return ["GET": .history]
        case "/api/v1/timeline": return ["GET": .timeline]
        case "/api/v1/try": return ["POST": .tryChat]
        case "/api/v1/session": return ["GET": .session]
        case "/api/v1/reload": return ["POST": .reload]
        default: break
        }
        let page = "/dashboard/"
        if path.hasPrefix(page), Dashboard.part(String(path.dropFirst(page.count))) != nil {
            return ["GET": .dashboardPart(String(path.dropFirst(page.count)))]
        }
        let prefix = "/api/v1/instances/"
        guard path.hasPrefix(prefix) else { return [:] }
        let parts = path.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let name = parts.first.map(String.init), !name.isEmpty else { return [:] }
        switch parts.count {
        case 1: return ["PUT": .attach(name), "DELETE": .detach(name)]
        case 2 where parts[1] == "logs": return ["GET": .logs(name)]
        case 2: return OperatorCommand(rawValue: String(parts[1])).map { ["POST": .act($0, name)] } ?? [:]
        default: return [:]
        }
    }

    /// Whether it changes anything: asked by POST, PUT or DELETE.
    var changesState: Bool {
        switch self {
        case .login, .logout, .act, .attach, .detach, .reload, .tryChat: return true
        default: return false
        }
    }

    /// For a load balancer or a kubelet, who have no token and call the machine what they like.
    var isProbe: Bool { self == .healthz || self == .readyz }

    /// What a person without a token needs in order to show one.
    var isLogin: Bool {
        switch self {
        case .loginPage, .loginStyle, .login, .logout, .session: return true
        default: return false
        }
    }

    /// Whether it wants the token on a listener that only this machine reaches: whatever changes something, and logs,
    /// which may quote a prompt, and what asks a model in the operator's name.
    var wantsTokenOnLoopback: Bool {
        switch self {
        case .act, .attach, .detach, .reload, .tryChat, .logs: return true
        default: return false
        }
    }
}
