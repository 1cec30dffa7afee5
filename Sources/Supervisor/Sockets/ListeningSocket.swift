import CLinux
import Fleet
import Glibc

/// A socket that is bound to an address of the gateway or of the admin side.
///
/// The supervisor keeps the gateway's open for as long as it lives, so that clients wait in their queues, and none is
/// refused, while a gateway process is replaced.
public struct ListeningSocket: Sendable, Hashable {
    /// The descriptor, close-on-exec; whoever takes it closes it.
    let descriptor: CInt
    /// What it is bound to: the port that the kernel chose where 0 was asked for.
    let address: ListenAddress

    /// Who may connect to a Unix socket.
    enum Access {
        /// Mode 0660, group `stoker` where there is one: the admin side, which asks for no token there.
        case administrators
        /// Mode 0666: the gateway, which asks for its key.
        case everyone
    }

    /// Binds a socket; it does not listen yet.
    ///
    /// - Parameters:
    ///   - address: A numeric host or `localhost` and a port, or a Unix socket's path.
    ///   - setting: The configuration's key, for the error's sentence.
    ///   - access: For a Unix socket's file.
    static func bind(
        _ address: ListenAddress, setting: String, access: Access = .administrators
    ) throws(Failure) -> ListeningSocket {
        switch address {
        case .tcp(let host, let port): return try bindTCP(host: host, port: port, setting: setting)
        case .unix(let path): return try bindUnix(path: path, setting: setting, access: access)
        }
    }

    /// A socket that somebody else has bound and that listens: systemd's, or a gateway's of an earlier life; nil where the
    /// descriptor is anything else.
    init?(inherited descriptor: CInt) {
        var listens: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0, listens == 1,
            let address = Self.boundAddress(of: descriptor)
        else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.init(descriptor: descriptor, address: address)
    }

    private init(descriptor: CInt, address: ListenAddress) {
        self.descriptor = descriptor
        self.address = address
    }

    /// Whether it is what a configuration asks for: the same host, and the same port where one is named.
    func serves(_ wanted: ListenAddress) -> Bool {
        switch (wanted, address) {
        case (.unix(let path), .unix(let own)): return path == own
        case (.tcp(let host, let port), .tcp(let ownHost, let ownPort)):
            return (host == "localhost" ? "127.0.0.1" : host) == ownHost && (port == 0 || port == ownPort)
        default: return false
        }
    }

    /// What a socket is bound to.
    private static func boundAddress(of descriptor: CInt) -> ListenAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> ListenAddress? in
                guard getsockname(descriptor, address, &length) == 0 else { return nil }
                if Int32(address.pointee.sa_family) == AF_UNIX {
                    return address.withMemoryRebound(to: sockaddr_un.self, capacity: 1) { name in
                        withUnsafeBytes(of: name.pointee.sun_path) { bytes in
                            .unix(path: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
                        }
                    }
                }
                var host = [CChar](repeating: 0, count: 256)
                guard
                    getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0,
                    let port = boundPort(of: descriptor)
                else { return nil }
                return .tcp(
                    host: String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
                    port: port)
            }
        }
    }

    /// Makes it non-blocking and lets clients in, with a queue as long as the kernel allows.
    func listen(setting: String) throws(Failure) {
        let flags = fcntl(descriptor, F_GETFL)
        guard fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0, Glibc.listen(descriptor, 65_535) == 0 else {
            throw Failure("\(address)", setting: setting, number: errno)
        }
    }

    private static func bindTCP(host: String, port: UInt16, setting: String) throws(Failure) -> ListeningSocket {
        let address = ListenAddress.tcp(host: host, port: port)
        var hints = addrinfo()
        hints.ai_family = host == "localhost" ? AF_INET : AF_UNSPEC
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | (host == "localhost" ? 0 : AI_NUMERICHOST)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let found else {
            throw .badAddress("\(address)", setting: setting)
        }
        defer { freeaddrinfo(found) }
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(found.pointee.ai_family, type, 0)
        guard descriptor >= 0 else { throw .other("\(address)", setting: setting, number: errno) }
        var one: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        if found.pointee.ai_family == AF_INET6 {
            // [::] takes IPv4 clients too, as users of a wildcard expect.
            var off: CInt = 0
            setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &off, socklen_t(MemoryLayout<CInt>.size))
        }
        guard Glibc.bind(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0 else {
            let number = errno
            close(descriptor)
            throw Failure("\(address)", setting: setting, number: number)
        }
        return ListeningSocket(
            descriptor: descriptor, address: .tcp(host: host, port: boundPort(of: descriptor) ?? port))
    }

    private static func bindUnix(
        path: String, setting: String, access: Access
    ) throws(Failure) -> ListeningSocket {
        guard var name = unixAddress(path) else { throw .pathTooLong(path, setting: setting) }
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw .other("unix:\(path)", setting: setting, number: errno) }
        if isSocket(path) {
            guard !answers(path) else {
                close(descriptor)
                throw .answered(path, setting: setting)
            }
            // Left behind by a daemon that did not end cleanly.
            unlink(path)
        }
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let number = errno
            close(descriptor)
            throw Failure("unix:\(path)", setting: setting, number: number)
        }
        // Nobody can connect before listen(2): there is no moment with a wrong mode.
        switch access {
        case .administrators:
            if let group = getgrnam("stoker") { _ = chown(path, uid_t.max, group.pointee.gr_gid) }
            chmod(path, 0o660)
        case .everyone: chmod(path, 0o666)
        }
        return ListeningSocket(descriptor: descriptor, address: .unix(path: path))
    }

    /// The port that a socket is bound to.
    private static func boundPort(of descriptor: CInt) -> UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return nil }
        // The port is at the same place in both families.
        return withUnsafeBytes(of: &storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    }

    /// A Unix socket's address; nil when the path does not fit its 107 bytes.
    static func unixAddress(_ path: String) -> sockaddr_un? {
        let bytes = Array(path.utf8)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    /// Whether a path is a socket's.
    private static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// Whether somebody listens on a Unix socket; one whose queue is full counts.
    static func answers(_ path: String) -> Bool {
        guard var name = unixAddress(path) else { return false }
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 || errno == EAGAIN || errno == EINPROGRESS
    }

    /// Why an address cannot be listened on. Each has a sentence that says what to do.
    public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// Another process has the port.
        case taken(String, setting: String)
        /// Another daemon answers on the Unix socket.
        case answered(String, setting: String)
        /// The machine has no such address.
        case notOurs(String, setting: String)
        /// Ports below 1024, folders of others.
        case denied(String, setting: String)
        /// Neither a numeric address nor `localhost`.
        case badAddress(String, setting: String)
        /// Over 107 bytes.
        case pathTooLong(String, setting: String)
        /// Anything else.
        case other(String, setting: String, number: CInt)

        /// From what bind(2) says.
        init(_ address: String, setting: String, number: CInt) {
            switch number {
            case EADDRINUSE: self = .taken(address, setting: setting)
            case EADDRNOTAVAIL: self = .notOurs(address, setting: setting)
            case EACCES, EPERM, EROFS: self = .denied(address, setting: setting)
            default: self = .other(address, setting: setting, number: number)
            }
        }

        /// The sentence.
        public var description: String {
            switch self {
            case .taken(let address, let setting):
                let port = address.split(separator: ":").last.map(String.init) ?? ""
                return "\(address) is taken by another process: 'ss -ltnp sport = :\(port)' shows which; "
                    + "end it, or set \(setting) to another port"
            case .answered(let path, let setting):
                return "another process answers on \(path): stop that daemon, or give this one a runtime directory "
                    + "of its own (RUNTIME_DIRECTORY; \(setting))"
            case .notOurs(let address, let setting):
                return "\(address) is no address of this machine ('ip addr' lists them): set \(setting) to one that is"
            case .denied(let address, let setting):
                return "\(address) may not be used by this user: choose a port from 1024 on or a folder that the "
                    + "daemon's user may write, in \(setting)"
            case .badAddress(let address, let setting):
                return "\(address) is no address to listen on: \(setting) takes a numeric address or localhost, "
                    + "and a port"
            case .pathTooLong(let path, let setting):
                return "the socket's path \(path) is \(path.utf8.count) bytes long and 107 are allowed: choose a "
                    + "shorter runtime directory (RUNTIME_DIRECTORY; \(setting))"
            case .other(let address, let setting, let number):
                return "\(address) cannot be listened on (\(String(cString: strerror(number)))): check \(setting)"
            }
        }
    }
}
