import CLinux
import Glibc

/// One transport, as the loop sees it: bytes in and out without waiting. TLS will be a second one behind the same
/// four functions, told apart by a byte in here.
struct Socket {
    /// What reading or writing came to.
    enum Outcome {
        /// So many bytes.
        case bytes(Int)
        /// Not now.
        case wouldBlock
        /// The other side sends no more.
        case ended
        /// The connection is broken; the error number.
        case failed(Int32)
    }

    /// The descriptor; -1 when closed.
    private(set) var descriptor: Int32 = -1

    /// No socket.
    init() {}

    /// A non-blocking socket.
    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Whether it is open.
    @inline(__always) var isOpen: Bool { descriptor >= 0 }

    /// Reads at most `count` bytes.
    @inline(__always) func read(into target: UnsafeMutablePointer<UInt8>, _ count: Int) -> Outcome {
        while true {
            let got = recv(descriptor, target, count, 0)
            if got > 0 { return .bytes(got) }
            if got == 0 { return .ended }
            if errno == EAGAIN { return .wouldBlock }
            if errno != EINTR { return .failed(errno) }
        }
    }

    /// Writes what it can.
    @inline(__always) func write(_ view: ByteView) -> Outcome {
        while true {
            let put = send(descriptor, view.base, view.count, Int32(MSG_NOSIGNAL))
            if put >= 0 { return .bytes(put) }
            if errno == EAGAIN { return .wouldBlock }
            if errno != EINTR { return .failed(errno) }
        }
    }

    /// Writes what it can of several stretches.
    @inline(__always) func write(_ parts: UnsafeMutablePointer<iovec>, _ count: Int) -> Outcome {
        while true {
            var message = msghdr()
            message.msg_iov = parts
            message.msg_iovlen = count
            let put = sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
            if put >= 0 { return .bytes(put) }
            if errno == EAGAIN { return .wouldBlock }
            if errno != EINTR { return .failed(errno) }
        }
    }

    /// Says that nothing more will be written.
    func finish() { _ = Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes it.
    mutating func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
    }

    /// Begins a connection: the socket, or nil and the error number when it failed at once.
    static func connecting(to address: ByteView, error: inout Int32) -> Socket? {
        guard address.count > 2 else {
            error = EADDRNOTAVAIL
            return nil
        }
        let family = SocketAddress.family(of: address)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else {
            error = errno
            return nil
        }
        if family != AF_UNIX { stoker_nodelay(descriptor) }
        if stoker_connect(descriptor, address.base, socklen_t(address.count)) < 0, errno != EINPROGRESS {
            error = errno
            _ = Glibc.close(descriptor)
            return nil
        }
        return Socket(descriptor: descriptor)
    }
}
