import CLinux
import Fleet
import Glibc

/// A bound, listening, non-blocking socket of the gateway. The supervisor keeps it open for as long as it lives, so
/// that clients wait in its queue, and none is refused, while a gateway process is replaced.
public struct ListeningSocket: Sendable, Hashable {
    /// The descriptor, close-on-exec.
    public let descriptor: Int32
    /// The address with the port that was really bound.
    public let address: ListenAddress

    /// Why an address cannot be listened on, with what to do.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        /// The sentence for the user.
        public let description: String
    }

    /// Binds an address and listens on it.
    public init(_ address: ListenAddress) throws(Failure) {
        switch address {
        case .tcp(let host, let port): self = try Self.tcp(host: host, port: port)
        case .unix(let path): self = try Self.unix(path: path)
        }
    }

    private init(descriptor: Int32, address: ListenAddress) {
        self.descriptor = descriptor
        self.address = address
    }

    private static let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    private static func tcp(host: String, port: UInt16) throws(Failure) -> ListeningSocket {
        let shown = ListenAddress.tcp(host: host, port: port)
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host == "localhost" ? "127.0.0.1" : host, String(port), &hints, &found) == 0,
            let info = found
        else {
            throw Failure(description: "cannot listen on \(shown): write a numeric address or localhost")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(info.pointee.ai_family, kind, 0)
        guard descriptor >= 0 else { throw refusal(of: shown) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        if info.pointee.ai_family == AF_INET6 {
            // [::] takes IPv4 clients too, as users of a wildcard expect.
            var off: Int32 = 0
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &off, socklen_t(MemoryLayout<Int32>.size))
        }
        guard bind(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0, listen(descriptor, 4096) == 0
        else {
            let failure = refusal(of: shown)
            close(descriptor)
            throw failure
        }
        return ListeningSocket(descriptor: descriptor, address: .tcp(host: host, port: boundPort(descriptor) ?? port))
    }

    private static func unix(path: String) throws(Failure) -> ListeningSocket {
        let shown = ListenAddress.unix(path: path)
        var address = stoker_unix_address(path)
        guard address.sun_family != 0 else {
            throw Failure(description: "cannot listen on \(shown): the path is longer than a socket's 107 bytes")
        }
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw refusal(of: shown) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        // A socket file that nobody answers on is left over from a crash.
        let isAnswered = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) == 0 }
        }
        if isAnswered {
            close(descriptor)
            throw Failure(
                description: "cannot listen on \(shown): another process serves it; stop it or change 'listen'")
        }
        unlink(path)
        close(descriptor)
        let listener = socket(AF_UNIX, kind, 0)
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, size) == 0 }
        }
        guard listener >= 0, isBound, listen(listener, 4096) == 0 else {
            let failure = refusal(of: shown)
            if listener >= 0 { close(listener) }
            throw failure
        }
        chmod(path, 0o666)
        return ListeningSocket(descriptor: listener, address: shown)
    }

    private static func refusal(of address: ListenAddress) -> Failure {
        let code = errno
        let advice: String
        switch code {
        case EADDRINUSE: advice = "another process listens there; stop it or change 'listen' ('ss -ltnp' shows which)"
        case EACCES: advice = "permission denied; use a port above 1023 or grant CAP_NET_BIND_SERVICE"
        case EADDRNOTAVAIL: advice = "this machine has no such address"
        case ENOENT: advice = "the folder does not exist"
        default: advice = String(cString: strerror(code))
        }
        return Failure(description: "cannot listen on \(address): \(advice)")
    }

    private static func boundPort(_ descriptor: Int32) -> UInt16? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { return nil }
        return withUnsafePointer(to: &storage) { pointer in
            // The port is at the same place in sockaddr_in and sockaddr_in6.
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
        }
    }
}
