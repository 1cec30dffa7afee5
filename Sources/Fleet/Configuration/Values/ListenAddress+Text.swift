import Glibc

extension ListenAddress {
    /// An address of `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` (every IPv4 interface, as is `*:8080`)
    /// or `unix:/run/stoker/gateway.sock`. Host names other than `localhost` are not looked up and are errors.
    public init(configuration text: String) throws(ConfigurationValueError) {
        let expected = "expected an address such as 127.0.0.1:8080, [::1]:8080, :8080 or unix:/run/stoker/gateway.sock"
        if text.hasPrefix("unix:") {
            self = .unix(path: try UnixSocketPath.parse(String(text.dropFirst(5))))
            return
        }
        guard let colon = text.lastIndex(of: ":") else {
            let hint = UInt16(text) == nil ? "a port is missing" : "for a port alone write :\(text)"
            throw ConfigurationValueError("\(expected); \(hint)")
        }
        let portText = text[text.index(after: colon)...]
        guard !portText.isEmpty, portText.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(portText) else {
            throw ConfigurationValueError("\(expected); the port is a number from 0 to 65535")
        }
        let host = text[..<colon]
        if host.isEmpty || host == "*" {
            self = .tcp(host: "0.0.0.0", port: port)
        } else if host.hasPrefix("[") {
            let inner = String(host.dropFirst().dropLast())
            guard host.hasSuffix("]"), IPAddress.isIPv6(inner) else {
                throw ConfigurationValueError("\(expected); between the brackets there is no IPv6 address")
            }
            self = .tcp(host: inner.lowercased(), port: port)
        } else if host.contains(":") {
            throw ConfigurationValueError("\(expected); an IPv6 address is written in brackets")
        } else if host == "localhost" || IPAddress.isIPv4(String(host)) {
            self = .tcp(host: String(host), port: port)
        } else {
            throw ConfigurationValueError("\(expected); the host is a numeric address or localhost")
        }
    }
}

/// Numeric addresses.
enum IPAddress {
    /// Whether the text is a dotted IPv4 address.
    static func isIPv4(_ text: String) -> Bool {
        guard !text.utf8.contains(0) else { return false }
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    /// Whether the text is an IPv6 address, without brackets and zone.
    static func isIPv6(_ text: String) -> Bool {
        guard !text.utf8.contains(0) else { return false }
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }
}

/// Paths of Unix sockets.
enum UnixSocketPath {
    /// The longest path that the kernel takes, in bytes.
    static let maximum = 107

    /// The path of a socket, after `unix:`.
    static func parse(_ text: String) throws(ConfigurationValueError) -> String {
        // unix:///run/x.sock is the same as unix:/run/x.sock.
        let path = text.hasPrefix("//") ? String(text.dropFirst(2)) : text
        guard path.hasPrefix("/"), path != "/", !path.hasSuffix("/") else {
            throw ConfigurationValueError("expected an absolute path after unix:")
        }
        guard !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw ConfigurationValueError("a socket's path has no control characters", showsValue: false)
        }
        guard path.utf8.count <= maximum else {
            throw ConfigurationValueError("a socket's path has at most \(maximum) bytes, this one \(path.utf8.count)")
        }
        return path
    }
}
