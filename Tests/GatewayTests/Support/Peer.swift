import CLinux
import Foundation
import Glibc

/// A blocking connection with deadlines: a client, or one connection of a stand-in server.
final class Peer: @unchecked Sendable {
    let descriptor: Int32
    private var buffer: [UInt8] = []

    init(_ descriptor: Int32, seconds: Int = 5) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        stoker_nodelay(descriptor)
    }

    deinit { close() }

    private var isClosed = false

    /// Connects to a port of the loopback.
    static func connect(_ port: UInt16, receiveBuffer: Int32 = 0) -> Peer {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if receiveBuffer > 0 {
            var size = receiveBuffer
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
        }
        var address = [UInt8](repeating: 0, count: 128)
        let length = address.withUnsafeMutableBytes { stoker_numeric_address("127.0.0.1", port, $0.baseAddress) }
        let status = address.withUnsafeBytes { stoker_connect(descriptor, $0.baseAddress, length) }
        precondition(status == 0, "connect: \(errno)")
        return Peer(descriptor)
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        _ = Glibc.close(descriptor)
    }

    /// Whether something can be read at this moment.
    var hasBytes: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
    }

    /// Ends with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    @discardableResult func write(_ text: String) -> Bool { write(Array(text.utf8)) }

    @discardableResult func write(_ bytes: [UInt8]) -> Bool {
        var at = 0
        while at < bytes.count {
            let put = bytes[at...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if put <= 0 { return false }
            at += put
        }
        return true
    }

    private func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let got = recv(descriptor, &chunk, chunk.count, 0)
        if got <= 0 { return false }
        buffer += chunk[0..<got]
        return true
    }

    /// Everything up to and with a mark; nil when the connection ends or the deadline passes before.
    func read(until mark: String) -> String? {
        let needle = Array(mark.utf8)
        var from = 0
        while true {
            if buffer.count >= needle.count {
                for at in from...(buffer.count - needle.count) where Array(buffer[at..<(at + needle.count)]) == needle {
                    let end = at + needle.count
                    let text = String(decoding: buffer[0..<end], as: UTF8.self)
                    buffer.removeFirst(end)
                    return text
                }
                from = buffer.count - needle.count + 1
            }
            if !fill() { return nil }
        }
    }

    func read(count: Int) -> [UInt8]? {
        while buffer.count < count { if !fill() { return nil } }
        let bytes = Array(buffer[0..<count])
        buffer.removeFirst(count)
        return bytes
    }

    /// Passes over so many bytes; what comes right behind them, five bytes of it.
    func skip(_ count: Int) -> String? {
        var left = count - buffer.count
        if left < 0 { return nil }
        buffer = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while left > 0 {
            let got = recv(descriptor, &chunk, min(left, chunk.count), 0)
            if got <= 0 { return nil }
            left -= got
        }
        return read(count: 5).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A sum over the next bytes; nil when the connection ends before.
    func digest(_ count: Int) -> UInt64? { read(count: count)?.reduce(0) { $0 &* 31 &+ UInt64($1) } }

    /// Everything until the other side ends.
    func readAll() -> String {
        while fill() {}
        defer { buffer = [] }
        return String(decoding: buffer, as: UTF8.self)
    }

    /// Whether the other side ends before the deadline; what it still says is thrown away.
    func waitForEnd() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = recv(descriptor, &chunk, chunk.count, 0)
            if got == 0 || (got < 0 && errno == ECONNRESET) { return true }
            if got < 0 { return false }
        }
    }

    /// A head and its body by Content-Length or chunks, decoded.
    func readMessage() -> Message? {
        guard let head = read(until: "\r\n\r\n") else { return nil }
        var message = Message(head: head, body: [])
        if let length = message.field("content-length").flatMap({ Int($0) }) {
            guard let body = read(count: length) else { return nil }
            message.body = body
        } else if message.field("transfer-encoding") == "chunked" {
            while true {
                guard let line = read(until: "\r\n"), let size = Int(line.dropLast(1), radix: 16) else { return nil }
                guard let data = read(count: size + 2) else { return nil }
                if size == 0 { break }
                message.body += data.dropLast(2)
            }
        }
        return message
    }
}

/// A request or a response as it came.
struct Message {
    var head: String
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var status: Int { Int(head.split(separator: " ").dropFirst().first ?? "0") ?? 0 }
    var firstLine: String { String(head.prefix { $0 != "\r\n" && $0 != "\r" }) }

    func field(_ name: String) -> String? {
        for line in head.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { continue }
            return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return nil
    }
}
