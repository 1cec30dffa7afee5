import Fleet
import Foundation
import Synchronization

/// A tiny server on loopback or a Unix socket that answers every connection with one script.
final class ScriptedServer: Sendable {
    /// What it does with a connection once the request is read.
    enum Reaction: Sendable {
        /// Sends these bytes, then closes.
        case send(String)
        /// Sends bytes with pauses, then closes.
        case sendSlowly([String], pause: Duration)
        /// Sends nothing and keeps the connection until the client or the server ends it.
        case hold
        /// Closes at once, without reading.
        case hangUp
        /// Sends an answer of so many body bytes.
        case big(Int)
    }

    let endpoint: Endpoint
    private let listener: Int32
    private let state = Mutex(State())
    private let path: String?

    private struct State {
        var requests: [String] = []
        var connections: Set<Int32> = []
        var hungUp = 0
        var isStopped = false
    }

    /// Listens on 127.0.0.1, or on a Unix socket in a folder for temporary files.
    init(unix: Bool = false, host: String? = nil, basePath: String = "", reaction: Reaction) throws {
        let descriptor: Int32
        if unix {
            let path = "/tmp/stoker-health-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
            self.path = path
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let bound = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard bound == 0, listen(descriptor, 1024) == 0 else { throw POSIXError(.EADDRINUSE) }
            endpoint = Endpoint(address: .unix(path: path), host: host ?? "localhost", basePath: basePath)
        } else {
            path = nil
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let port = try Self.bindLoopback(descriptor)
            guard listen(descriptor, 1024) == 0 else { throw POSIXError(.EADDRINUSE) }
            endpoint = Endpoint(
                address: .tcp(ip: "127.0.0.1", port: port), host: host ?? "127.0.0.1:\(port)", basePath: basePath)
        }
        listener = descriptor
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0, let self else { return }
                self.serve(connection, reaction)
            }
        }
    }

    deinit { stop() }

    /// Binds to a free port of 127.0.0.1.
    static func bindLoopback(_ descriptor: Int32) throws -> UInt16 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        return UInt16(bigEndian: address.sin_port)
    }

    /// The requests so far, head and body.
    var requests: [String] { state.withLock { $0.requests } }
    /// Connections that the client ended.
    var hungUp: Int { state.withLock { $0.hungUp } }

    func stop() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
            if let path { unlink(path) }
        }
    }

    private func serve(_ connection: Int32, _ reaction: Reaction) {
        state.withLock { _ = $0.connections.insert(connection) }
        Thread.detachNewThread { [weak self] in
            self?.react(connection, reaction)
            self?.state.withLock { _ = $0.connections.remove(connection) }
            close(connection)
        }
    }

    private func react(_ connection: Int32, _ reaction: Reaction) {
        if case .hangUp = reaction { return }
        guard let request = read(connection) else { return }
        state.withLock { $0.requests.append(request) }
        switch reaction {
        case .send(let text): write(connection, text)
        case .sendSlowly(let parts, let pause):
            for part in parts {
                guard write(connection, part) else { return }
                usleep(UInt32(pause.nanoseconds / 1000))
            }
        case .hold:
            var byte: UInt8 = 0
            if recv(connection, &byte, 1, 0) == 0 { state.withLock { $0.hungUp += 1 } }
        case .big(let count):
            guard write(connection, "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n") else { return }
            let piece = String(repeating: "x", count: 65_536)
            var left = count
            while left > 0, write(connection, left >= piece.utf8.count ? piece : String(piece.prefix(left))) {
                left -= piece.utf8.count
            }
        case .hangUp: break
        }
    }

    private func read(_ connection: Int32) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes.append(contentsOf: buffer[..<count])
            let text = String(decoding: bytes, as: UTF8.self)
            guard let head = text.range(of: "\r\n\r\n") else { continue }
            let length = text.range(of: "Content-Length: ").map {
                Int(text[$0.upperBound...].prefix { $0.isNumber }) ?? 0
            }
            if text[head.upperBound...].utf8.count >= length ?? 0 { return text }
        }
    }

    @discardableResult
    private func write(_ connection: Int32, _ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
