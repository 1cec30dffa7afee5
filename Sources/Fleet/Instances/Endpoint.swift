/// Where a vLLM server is reached, resolved: a gateway never looks a name up.
public struct Endpoint: Sendable, Hashable, Codable, CustomStringConvertible {
    /// A socket's address.
    public enum Address: Sendable, Hashable, Codable {
        /// A Unix socket's path, at most 107 bytes.
        case unix(path: String)
        /// A numeric IPv4 or IPv6 address (no brackets) and a port.
        case tcp(ip: String, port: UInt16)
    }

    /// TLS to an attached `https://` server.
    public struct TLS: Sendable, Hashable, Codable {
        /// The name for SNI and certificate checks.
        public var serverName: String
        /// A PEM file of roots to trust instead of the system's.
        public var caFile: String?

        /// TLS towards a named server.
        public init(serverName: String, caFile: String? = nil) {
            self.serverName = serverName
            self.caFile = caFile
        }
    }

    /// The socket to connect to.
    public var address: Address
    /// The value of the `Host` header: the name (and port) as configured, `localhost` for Unix sockets.
    public var host: String
    /// The path before `/v1` and everything else: empty, or `/prefix` without a trailing slash.
    public var basePath: String
    /// Set when the server speaks TLS.
    public var tls: TLS?

    /// An endpoint.
    public init(address: Address, host: String, basePath: String = "", tls: TLS? = nil) {
        self.address = address
        self.host = host
        self.basePath = basePath
        self.tls = tls
    }

    /// For status and logs: `unix:/run/…/0.1.sock` or `http://10.0.0.7:8000`; never user information.
    public var description: String {
        switch address {
        case .unix(let path): return "unix:\(path)\(basePath)"
        case .tcp: return "\(tls == nil ? "http" : "https")://\(host)\(basePath)"
        }
    }
}
