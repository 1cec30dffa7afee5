import CLinux
import COpenSSL
import Glibc

/// One transport, as the loop sees it: bytes in and out without waiting, plain or by TLS. Which of them is told by one
/// pointer in here.
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
    /// TLS's own state; nil on a plain connection.
    private var tls: UnsafeMutableRawPointer?

    /// No socket.
    init() {}

    /// A non-blocking socket.
    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Whether it is open.
    @inline(__always) var isOpen: Bool { descriptor >= 0 }
    /// Whether TLS is spoken on it. Then fewer bytes than asked for do not mean that no more have come, and either
    /// direction may wait for the other one's event.
    @inline(__always) var isTLS: Bool { tls != nil }

    /// Reads at most `count` bytes.
    @inline(__always) func read(into target: UnsafeMutablePointer<UInt8>, _ count: Int) -> Outcome {
        if let tls { return Self.outcome(stoker_tls_read(tls, target, count)) }
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
        if let tls { return Self.outcome(stoker_tls_write(tls, view.base, view.count)) }
        while true {
            let put = send(descriptor, view.base, view.count, Int32(MSG_NOSIGNAL))
            if put >= 0 { return .bytes(put) }
            if errno == EAGAIN { return .wouldBlock }
            if errno != EINTR { return .failed(errno) }
        }
    }

    /// Writes what it can of several stretches.
    @inline(__always) func write(_ parts: UnsafeMutablePointer<iovec>, _ count: Int) -> Outcome {
        if let tls { return Self.write(tls, parts, count) }
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

    private static func outcome(_ result: Int) -> Outcome {
        switch result {
        case _ where result > 0: return .bytes(result)
        case Int(STOKER_TLS_ENDED): return .ended
        case Int(STOKER_TLS_AGAIN): return .wouldBlock
        default: return .failed(EPROTO)
        }
    }

    private static func write(
        _ tls: UnsafeMutableRawPointer, _ parts: UnsafeMutablePointer<iovec>, _ count: Int
    ) -> Outcome {
        var total = 0
        for index in 0..<count {
            let part = parts[index]
            guard part.iov_len > 0, let base = part.iov_base else { continue }
            switch outcome(stoker_tls_write(tls, base, part.iov_len)) {
            case .bytes(let put):
                total += put
                if put < part.iov_len { return .bytes(total) }
            case .wouldBlock: return total > 0 ? .bytes(total) : .wouldBlock
            case let other: return other
            }
        }
        return .bytes(total)
    }

    /// Says that nothing more will be written.
    func finish() {
        if let tls { stoker_tls_finish(tls) }
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Closes it; `isClean` says that everything was sent, so that the other side can tell the end from a cut.
    mutating func close(isClean: Bool = true) {
        guard descriptor >= 0 else { return }
        if let tls {
            if isClean { stoker_tls_finish(tls) }
            stoker_tls_free(tls)
        }
        tls = nil
        _ = Glibc.close(descriptor)
        descriptor = -1
    }

    /// Speaks TLS as a server from now on; false when there is no memory.
    mutating func acceptTLS(_ context: UnsafeMutableRawPointer) -> Bool {
        tls = stoker_tls_accept(context, descriptor)
        return tls != nil
    }

    /// Speaks TLS as a client from now on, to the server of this name, resuming a session where there is one.
    mutating func connectTLS(
        _ context: UnsafeMutableRawPointer, name: ByteView, session: UnsafeMutableRawPointer?
    ) -> Bool {
        // The name lies in a routing table with a nought behind it.
        tls = UnsafeRawPointer(name.base).withMemoryRebound(to: CChar.self, capacity: name.count + 1) {
            stoker_tls_connect(context, descriptor, $0, session)
        }
        return tls != nil
    }

    /// A session for the next connection to the same server, the caller's to give back.
    func resumable() -> UnsafeMutableRawPointer? { tls.flatMap { stoker_tls_session($0) } }

    /// Why the other side's certificate is not believed; nil when it is.
    func disbelief() -> String? {
        guard let tls else { return nil }
        var why = [CChar](repeating: 0, count: 200)
        guard stoker_tls_disbelief(tls, &why, why.count) != 0 else { return nil }
        return why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
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
