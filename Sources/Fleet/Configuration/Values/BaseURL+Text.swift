extension BaseURL {
    /// A server's base URL: `http://10.0.0.7:8000`, with or without `/v1` and a trailing slash; a path in front of
    /// `/v1` is kept. `unix:/run/vllm.sock` is a server on a Unix socket.
    ///
    /// User information, a query and a fragment are errors. No error shows the URL, for it may hold a secret.
    public init(configuration text: String) throws(ConfigurationValueError) {
        func error(_ message: String) -> ConfigurationValueError {
            ConfigurationValueError(message, showsValue: false)
        }
        guard !text.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f }) else {
            throw error("a URL has no spaces, control characters or characters beyond ASCII")
        }
        if text.hasPrefix("unix:") {
            do {
                let path = try UnixSocketPath.parse(String(text.dropFirst(5)))
                self.init(isTLS: false, host: "", port: 0, path: "", unixPath: path)
                return
            } catch {
                throw ConfigurationValueError(error.description, showsValue: false)
            }
        }
        guard let schemeEnd = text.firstRange(of: "://") else {
            throw error("expected a URL such as http://10.0.0.7:8000/v1; it begins with http://, https:// or unix:/")
        }
        let isTLS: Bool
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "http": isTLS = false
        case "https": isTLS = true
        default: throw error("a base URL begins with http://, https:// or unix:/")
        }
        let rest = text[schemeEnd.upperBound...]
        guard !rest.contains("#") else { throw error("a base URL has no fragment (#…)") }
        guard !rest.contains("?") else { throw error("a base URL has no query (?…)") }
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else {
            throw error("user information in the URL is not supported: put the key into api_key or api_key_file")
        }
        let (host, port) = try Self.hostAndPort(authority, isTLS: isTLS)
        let path = try Self.basePath(rest.dropFirst(authority.count))
        self.init(isTLS: isTLS, host: host, port: port, path: path)
    }

    private static func hostAndPort(
        _ authority: Substring, isTLS: Bool
    ) throws(ConfigurationValueError) -> (String, UInt16) {
        var host = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else {
                throw ConfigurationValueError("an IPv6 address in a URL is written in brackets", showsValue: false)
            }
            let after = authority[authority.index(after: close)...]
            guard after.isEmpty || after.hasPrefix(":") else {
                throw ConfigurationValueError("after the address's bracket comes :port or a path", showsValue: false)
            }
            host = authority[authority.index(after: authority.startIndex)..<close]
            guard IPAddress.isIPv6(String(host)) else {
                throw ConfigurationValueError("between the brackets there is no IPv6 address", showsValue: false)
            }
            portText = after.isEmpty ? nil : after.dropFirst()
        } else {
            let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else {
                throw ConfigurationValueError("an IPv6 address in a URL is written in brackets", showsValue: false)
            }
            host = parts.first ?? ""
            portText = parts.count == 2 ? parts[1] : nil
            guard !host.isEmpty else { throw ConfigurationValueError("the URL has no host", showsValue: false) }
            let isName = host.utf8.count <= 253 && host.utf8.allSatisfy { isHostByte($0) }
            guard isName, !host.hasPrefix("."), !host.contains("..") else {
                throw ConfigurationValueError("the URL's host is not a host's name", showsValue: false)
            }
        }
        guard let portText else { return (host.lowercased(), isTLS ? 443 : 80) }
        guard portText.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(portText), port > 0 else {
            throw ConfigurationValueError("the URL's port is a number from 1 to 65535", showsValue: false)
        }
        return (host.lowercased(), port)
    }

    private static func basePath(_ text: Substring) throws(ConfigurationValueError) -> String {
        var path = text
        while path.hasSuffix("/") { path.removeLast() }
        for route in ["/chat/completions", "/completions", "/embeddings", "/models", "/responses"]
        where path.hasSuffix("/v1\(route)") {
            throw ConfigurationValueError("the base URL ends before \(route)", showsValue: false)
        }
        if path.hasSuffix("/v1") { path.removeLast(3) }
        while path.hasSuffix("/") { path.removeLast() }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard !segments.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
            throw ConfigurationValueError("the URL's path has no empty, . or .. segments", showsValue: false)
        }
        guard !path.utf8.contains(where: { [UInt8]("\"<>\\^`{|}".utf8).contains($0) }) else {
            throw ConfigurationValueError("the URL's path has a character that has to be escaped", showsValue: false)
        }
        return String(path)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): return true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): return true
        default: return false
        }
    }
}
