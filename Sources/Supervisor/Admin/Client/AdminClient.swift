import CLinux
import Fleet
import Glibc

/// Asks a daemon's admin side: a small blocking HTTP/1.1 client over its Unix socket (or loopback TCP, in tests), one
/// connection a request. For the command line, which has nothing better to do than to wait; never call it from a task.
public struct AdminClient: Sendable {
    /// Where the daemon is.
    public enum Address: Sendable, Hashable {
        /// `admin.sock` of its runtime directory.
        case unix(path: String)
        /// A port on 127.0.0.1.
        case loopback(port: UInt16)
    }

    /// A whole answer.
    public struct Answer: Sendable {
        /// The HTTP status.
        public var status: Int
        /// Header fields, names in lower case.
        public var headers: [String: String]
        /// The body.
        public var body: [UInt8]

        /// An answer.
        public init(status: Int, headers: [String: String], body: [UInt8]) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    /// Why there is no answer.
    public enum Failure: Error, Sendable, Hashable {
        /// Nobody is there: no socket, or nothing listens on it; the reason in the system's words.
        case unreachable(String)
        /// The socket is there, and this user may not use it.
        case denied
        /// The connection broke, or what came was no answer.
        case lost
        /// Nothing came for the whole of the time.
        case timedOut
    }

    /// Where the daemon is.
    public var address: Address

    /// A client; nothing is connected until something is asked.
    public init(_ address: Address) { self.address = address }

    /// Asks and waits for the whole answer.
    ///
    /// - Parameters:
    ///   - method: `GET`, `POST` …
    ///   - target: Path and query.
    ///   - headers: Beside Connection and the body's length; `Host` is `localhost` unless it is among them.
    ///   - body: Sent as it is.
    ///   - silence: How long nothing may come; nil waits as long as it takes.
    public func ask(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = [],
        silence: Duration? = .seconds(10)
    ) throws(Failure) -> Answer {
        var collected: [UInt8] = []
        let (status, fields) = try stream(method, target, headers: headers, body: body, silence: silence) {
            _, _, part in
            collected += part
            return true
        }
        return Answer(status: status, headers: fields, body: collected)
    }

    /// Asks and hands each part of the answer's body on as it comes, until there is no more or `take` answers false.
    @discardableResult
    public func stream(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = [],
        silence: Duration?, _ take: (_ status: Int, _ headers: [String: String], _ part: [UInt8]) -> Bool
    ) throws(Failure) -> (status: Int, headers: [String: String]) {
        let descriptor = try connected()
        defer { close(descriptor) }
        var head = "\(method) \(target) HTTP/1.1\r\nConnection: close\r\n"
        if !headers.contains(where: { $0.0 == "Host" }) { head += "Host: localhost\r\n" }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !body.isEmpty || method == "POST" || method == "PUT" { head += "Content-Length: \(body.count)\r\n" }
        try send(Array((head + "\r\n").utf8) + body, to: descriptor)
        var reader = HTTPAnswerReader()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !reader.isComplete {
            try wait(for: descriptor, silence)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else {
                guard count == 0, reader.end() else { throw .lost }
                break
            }
            let part: [UInt8]
            do { part = try reader.append(buffer[..<count]) } catch { throw .lost }
            guard let status = reader.status else { continue }
            if !part.isEmpty, !take(status, reader.headers, part) { break }
            // The answer to HEAD has a length and no body.
            if method == "HEAD" { break }
        }
        return (reader.status ?? 0, reader.headers)
    }

    private func connected() throws(Failure) -> CInt {
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor: CInt
        let result: CInt
        switch address {
        case .unix(let path):
            guard var name = ListeningSocket.unixAddress(path) else { throw .unreachable("the path is too long") }
            descriptor = socket(AF_UNIX, type, 0)
            result = withUnsafePointer(to: &name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        case .loopback(let port):
            descriptor = socket(AF_INET, type, 0)
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            result = withUnsafePointer(to: &name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard result == 0 else {
            let number = errno
            if descriptor >= 0 { close(descriptor) }
            if number == EACCES || number == EPERM { throw .denied }
            throw .unreachable(String(cString: strerror(number)))
        }
        return descriptor
    }

    private func send(_ bytes: [UInt8], to descriptor: CInt) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            // A server that refuses early may close before it has read everything; its answer is still to be read.
            guard count > 0 else { return }
            sent += count
        }
    }

    private func wait(for descriptor: CInt, _ silence: Duration?) throws(Failure) {
        let end = silence.map { Instant.now() + $0 }
        while true {
            let left = end.map { max(0, ($0 - .now()).nanoseconds / 1_000_000) }
            var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let result = poll(&item, 1, left.map { CInt(clamping: $0) } ?? -1)
            if result > 0 { return }
            if result == 0 { throw .timedOut }
            guard errno == EINTR else { throw .lost }
        }
    }
}
