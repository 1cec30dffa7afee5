/// Who may ask what, and from where: a decision without I/O.
///
/// On the Unix socket the file's mode has decided already. On loopback reading is open but for logs. Elsewhere everything
/// but the probes wants the token. The Host check keeps a web page from reaching a loopback listener under a name of
/// its own (DNS rebinding), the Origin check keeps one from changing anything with a logged-in person's cookie.
struct AdminAccess: Sendable {
    /// What a listener's address says about who reaches it.
    enum Reach: Sendable, Hashable {
        /// A Unix socket.
        case unix
        /// Only this machine.
        case loopback
        /// Others too.
        case elsewhere
    }

    /// What a request shows for itself.
    struct Claim: Sendable, Hashable {
        /// `Host`, or the target's authority.
        var host: String?
        /// `Origin`.
        var origin: String?
        /// `Sec-Fetch-Site`.
        var fetchSite: String?
        /// Whether `Authorization: Bearer` carries the token.
        var hasToken = false
        /// Whether the cookie is a living session's.
        var hasSession = false
    }

    /// The outcome.
    enum Decision: Sendable, Hashable {
        /// Go on.
        case allowed
        /// 400: a request that no client of HTTP/1.1 may send.
        case malformed(String)
        /// 401
        case unauthorized
        /// 403, with the reason.
        case forbidden(String)
    }

    /// Who reaches the listener.
    var reach: Reach
    /// Names and numeric addresses, lower case and without brackets, that the listener goes by beside loopback's.
    var names: Set<String>

    /// Decides on a request.
    func decide(_ route: AdminRoute, _ claim: Claim) -> Decision {
        if reach == .unix { return .allowed }
        if reach == .elsewhere, route.isProbe { return .allowed }
        guard let host = claim.host, let authority = Authority(host) else {
            return .malformed("the request has no usable Host header")
        }
        // A token in a header is no browser's doing: a page that rebinds a name cannot know it.
        guard isOurs(authority) || (reach == .elsewhere && claim.hasToken) else {
            return .forbidden(
                "'\(host)' is not a name of this listener: use its address"
                    + (reach == .loopback ? ", such as localhost or 127.0.0.1" : ", or send the token as a Bearer"))
        }
        if route.changesState {
            if let origin = claim.origin, !isSame(origin, as: host) {
                return .forbidden("the page at '\(origin)' may not change anything here: use the dashboard itself")
            }
            if let site = claim.fetchSite, site == "cross-site" || site == "same-site" {
                return .forbidden("a page of another site may not change anything here: use the dashboard itself")
            }
        }
        if route.isLogin || route.isProbe { return .allowed }
        if claim.hasToken || claim.hasSession { return .allowed }
        return reach == .loopback && !route.wantsTokenOnLoopback ? .allowed : .unauthorized
    }

    /// Whether a Host names this listener.
    private func isOurs(_ authority: Authority) -> Bool {
        let name = authority.name
        if name == "localhost" || name == "::1" || name.hasPrefix("127.") && authority.isNumeric { return true }
        if names.contains(name) { return true }
        // Elsewhere a number is always right: rebinding needs a name. So is the machine's name with its domain.
        guard reach == .elsewhere else { return false }
        return authority.isNumeric || name.split(separator: ".").first.map { names.contains(String($0)) } == true
    }

    /// Whether an Origin is the page of this very listener, perhaps behind something that ends TLS.
    private func isSame(_ origin: String, as host: String) -> Bool {
        let origin = origin.lowercased()
        let host = host.lowercased()
        return origin == "http://\(host)" || origin == "https://\(host)"
    }

    /// A `Host` header, taken apart.
    struct Authority: Sendable, Hashable {
        /// A lower case name or a numeric address without brackets.
        var name: String
        /// Whether it is an address.
        var isNumeric: Bool

        /// nil when it is none.
        init?(_ text: String) {
            let text = text.lowercased()
            var rest: Substring
            if text.hasPrefix("[") {
                guard let end = text.firstIndex(of: "]") else { return nil }
                name = String(text[text.index(after: text.startIndex)..<end])
                guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                    return nil
                }
                isNumeric = true
                rest = text[text.index(after: end)...]
            } else {
                let end = text.firstIndex(of: ":") ?? text.endIndex
                name = String(text[..<end])
                if name.hasSuffix(".") { name.removeLast() }
                let allowed = name.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): return true
                    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): return true
                    default: return false
                    }
                }
                guard !name.isEmpty, allowed else { return nil }
                let octets = name.split(separator: ".", omittingEmptySubsequences: false)
                isNumeric = octets.count == 4 && octets.allSatisfy { UInt8($0) != nil }
                rest = text[end...]
            }
            if rest.isEmpty { return }
            guard rest.removeFirst() == ":", rest.isEmpty || UInt16(rest) != nil else { return nil }
        }
    }
}
