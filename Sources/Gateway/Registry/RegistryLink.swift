import CLinux
import Fleet
import Glibc

/// The gateway's end of the registry's socket: frames in, frames out, without waiting. When it breaks it is closed;
/// whoever owns it dials again.
struct RegistryLink {
    /// What may wait to be written before the peer counts as stuck.
    private static let outgoingLimit = 8 << 20

    private(set) var descriptor: Int32 = -1
    private var codec = FrameCodec()
    private var outgoing: [UInt8] = []

    /// A link that is not connected.
    init() {}

    /// Whether it is connected.
    var isOpen: Bool { descriptor >= 0 }
    /// Whether something waits to be written.
    var wantsToWrite: Bool { !outgoing.isEmpty }

    /// Connects; false when nobody listens.
    mutating func open(_ path: String) -> Bool {
        let address = SocketAddress.bytes(of: .unix(path: path))
        guard !address.isEmpty else { return false }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = Glibc.socket(AF_UNIX, kind, 0)
        guard socket >= 0 else { return false }
        guard address.withUnsafeBytes({ stoker_connect(socket, $0.baseAddress, socklen_t($0.count)) }) == 0 else {
            _ = Glibc.close(socket)
            return false
        }
        descriptor = socket
        codec = FrameCodec()
        outgoing = []
        return true
    }

    /// Sends a message, or keeps it until the peer takes it.
    mutating func send(_ message: GatewayMessage) {
        guard isOpen, let frame = try? FrameCodec.encode(message) else { return }
        outgoing += frame
        flush()
        if outgoing.count > Self.outgoingLimit { close() }
    }

    /// Writes what waits.
    mutating func flush() {
        while isOpen, !outgoing.isEmpty {
            let put = outgoing.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if put > 0 {
                outgoing.removeFirst(put)
            } else if errno == EINTR {
                continue
            } else if errno == EAGAIN {
                return
            } else {
                return close()
            }
        }
    }

    /// Reads what has come.
    mutating func read() -> [SupervisorMessage] {
        var messages: [SupervisorMessage] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        var hasEnded = false
        while isOpen, !hasEnded {
            let got = Glibc.recv(descriptor, &chunk, chunk.count, 0)
            if got > 0 {
                codec.append(chunk[0..<got])
            } else if got < 0, errno == EINTR {
                continue
            } else if got < 0, errno == EAGAIN {
                break
            } else {
                hasEnded = true
            }
        }
        do {
            while let message = try codec.next(SupervisorMessage.self) { messages.append(message) }
        } catch {
            GatewayLog.error("the registry sent what cannot be read", [("reason", "\(type(of: error))")])
            close()
        }
        if hasEnded { close() }
        return messages
    }

    /// Closes it.
    mutating func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
        outgoing = []
    }
}
