import Testing

@testable import Supervisor

@Suite("Admin access, as a table")
struct AdminAccessTests {
    typealias Decision = AdminAccess.Decision

    enum Proof: String, CaseIterable, Sendable {
        case nothing, wrong, token, cookie
    }

    struct Row: Sendable, CustomStringConvertible {
        var route: AdminRoute
        /// On loopback without a proof, then elsewhere without one.
        var isOpenOnLoopback: Bool
        var isOpenElsewhere: Bool
        var description: String { "\(route)" }
    }

    static let rows: [Row] = [
        Row(route: .dashboard, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .dashboardPart("main.js"), isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .history, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .timeline, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .status, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .events, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .metrics, isOpenOnLoopback: true, isOpenElsewhere: false),
        Row(route: .healthz, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .readyz, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .loginPage, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .loginStyle, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .login, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .logout, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .session, isOpenOnLoopback: true, isOpenElsewhere: true),
        Row(route: .logs("chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .act(.start, "chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .act(.stop, "chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .act(.restart, "chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .act(.drain, "chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .act(.undrain, "chat-0"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .attach("x"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .detach("x"), isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .reload, isOpenOnLoopback: false, isOpenElsewhere: false),
        Row(route: .tryChat, isOpenOnLoopback: false, isOpenElsewhere: false),
    ]

    @Test("route × listener × proof", arguments: rows, Proof.allCases)
    func table(_ row: Row, _ proof: Proof) {
        let claim = AdminAccess.Claim(host: "localhost:8081", hasToken: proof == .token, hasSession: proof == .cookie)
        let hasProof = proof == .token || proof == .cookie
        let loopback = AdminAccess(reach: .loopback, names: ["127.0.0.1"])
        #expect(loopback.decide(row.route, claim) == (row.isOpenOnLoopback || hasProof ? .allowed : .unauthorized))
        let elsewhere = AdminAccess(reach: .elsewhere, names: ["0.0.0.0", "gpu1"])
        #expect(elsewhere.decide(row.route, claim) == (row.isOpenElsewhere || hasProof ? .allowed : .unauthorized))
        #expect(AdminAccess(reach: .unix, names: []).decide(row.route, AdminAccess.Claim()) == .allowed)
    }

    @Test(
        "Host on loopback",
        arguments: [
            ("localhost", true), ("localhost:8081", true), ("LOCALHOST:9", true), ("127.0.0.1:8081", true),
            ("127.1.2.3", true), ("[::1]:8081", true), ("localhost.", true), ("evil.example", false),
            ("localhost.evil.example", false), ("127.0.0.1.evil.example", false), ("10.0.0.7", false), ("gpu1", false),
            ("127.evil.example:80", false),
        ])
    func hostOnLoopback(_ host: String, isOurs: Bool) {
        let access = AdminAccess(reach: .loopback, names: ["127.0.0.1"])
        let decision = access.decide(.status, AdminAccess.Claim(host: host, hasToken: true))
        switch decision {
        case .allowed: #expect(isOurs)
        case .forbidden: #expect(!isOurs)
        default: Issue.record("\(decision)")
        }
    }

    @Test(
        "A Host that is none", arguments: [nil, "", "a b", "[::1", "localhost:port", "localhost:1:2", "[evil]", "a/b"])
    func noHost(_ host: String?) {
        let access = AdminAccess(reach: .loopback, names: [])
        #expect(
            access.decide(.status, AdminAccess.Claim(host: host, hasToken: true))
                == .malformed("the request has no usable Host header"))
    }

    @Test("Host elsewhere: addresses and the machine's names; others only with the token in a header")
    func hostElsewhere() {
        let access = AdminAccess(reach: .elsewhere, names: ["0.0.0.0", "gpu1"])
        func decide(_ host: String, token: Bool = false, session: Bool = false) -> Decision {
            access.decide(.status, AdminAccess.Claim(host: host, hasToken: token, hasSession: session))
        }
        #expect(decide("10.0.0.7:8081", session: true) == .allowed)
        #expect(decide("[2001:db8::1]:8081", session: true) == .allowed)
        #expect(decide("gpu1.lan:8081", session: true) == .allowed)
        #expect(decide("GPU1", session: true) == .allowed)
        #expect(decide("10.0.0.7:8081") == .unauthorized)
        #expect(decide("stoker:8081", token: true) == .allowed)
        #expect(decide("evil.example", session: true) != .allowed)
        #expect(decide("evil.example") != .allowed)
        #expect(access.decide(.readyz, AdminAccess.Claim(host: "anything")) == .allowed)
    }

    @Test(
        "Origin of what changes something",
        arguments: [
            (nil, true), ("http://localhost:8081", true), ("https://localhost:8081", true),
            ("http://LOCALHOST:8081", true), ("http://localhost:3000", false), ("http://localhost", false),
            ("http://127.0.0.1:8081", false), ("http://evil.example", false), ("null", false), ("", false),
        ] as [(String?, Bool)])
    func origin(_ origin: String?, isSame: Bool) {
        let access = AdminAccess(reach: .loopback, names: [])
        let claim = AdminAccess.Claim(host: "localhost:8081", origin: origin, hasSession: true)
        for route in [AdminRoute.act(.stop, "x"), .attach("x"), .detach("x"), .reload, .login, .logout] {
            #expect((access.decide(route, claim) == .allowed) == isSame, "\(route)")
        }
        #expect(access.decide(.status, claim) == .allowed)
    }

    @Test("A page of another site, told by the browser", arguments: ["cross-site", "same-site"])
    func fetchSite(_ site: String) {
        let access = AdminAccess(reach: .loopback, names: [])
        let claim = AdminAccess.Claim(host: "localhost", fetchSite: site, hasSession: true)
        #expect(access.decide(.reload, claim) != .allowed)
        #expect(access.decide(.status, claim) == .allowed)
    }

    @Test("Routes")
    func routes() {
        typealias Match = AdminRoute.Match
        func match(_ method: String, _ path: String) -> Match { AdminRoute.match(method: method, path: path) }
        #expect(match("GET", "/") == .route(.dashboard))
        #expect(match("HEAD", "/api/v1/status") == .route(.status))
        #expect(match("POST", "/api/v1/status") == .methodNotAllowed(["GET", "HEAD"]))
        #expect(match("GET", "/api/v1/reload") == .methodNotAllowed(["POST"]))
        #expect(match("GET", "/api/v1/instances/chat-0/stop") == .methodNotAllowed(["POST"]))
        #expect(match("POST", "/api/v1/instances/chat-0/stop") == .route(.act(.stop, "chat-0")))
        #expect(match("PUT", "/api/v1/instances/x") == .route(.attach("x")))
        #expect(match("DELETE", "/api/v1/instances/x") == .route(.detach("x")))
        #expect(match("GET", "/api/v1/instances/x/logs") == .route(.logs("x")))
        #expect(match("POST", "/api/v1/try") == .route(.tryChat))
        #expect(match("GET", "/api/v1/try") == .methodNotAllowed(["POST"]))
        #expect(match("GET", "/dashboard/main.js") == .route(.dashboardPart("main.js")))
        for path in [
            "/api/v1/trial", "/api/v1", "/x", "", "/api/v1/instances/", "/api/v1/instances//stop",
            "/api/v1/instances/x/explode", "/api/v1/instances/x/stop/", "/status", "//",
        ] {
            #expect(match("GET", path) == .unknown, "\(path)")
        }
    }
}
