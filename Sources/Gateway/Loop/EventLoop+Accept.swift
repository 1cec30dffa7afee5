import CLinux
import Glibc
import Synchronization

extension EventLoop {
    /// Takes what waits at a listening socket, a few at a time: other loops want their share.
    func accept(_ listener: GatewayOptions.Listener) {
        for _ in 0..<16 {
            guard isAccepting else { return }
            let descriptor = stoker_accept(listener.descriptor)
            if descriptor < 0 {
                switch errno {
                case EINTR, ECONNABORTED: continue
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    stopAccepting()
                    acceptAgainAt = now &+ 100_000_000
                    nextSweep = min(nextSweep, acceptAgainAt)
                    return
                default: return
                }
            }
            guard let client = clients.take() else {
                _ = close(descriptor)
                return
            }
            if !listener.name.hasPrefix("unix:") { stoker_nodelay(descriptor) }
            client.pointee.socket = Socket(descriptor: descriptor)
            client.pointee.phase = .head
            client.pointee.isUnix = listener.name.hasPrefix("unix:")
            guard beginTLS(client) else {
                closeClient(client)
                continue
            }
            guard poller.add(descriptor, client.pointee.handle) else {
                closeClient(client)
                return
            }
            wheel.set(client, now &+ (client.pointee.socket.isTLS ? patience.head : patience.idle))
            if clients.count >= connectionLimit { stopAccepting() }
        }
    }

    /// Speaks TLS where it is configured; false where there is no certificate to speak it with.
    private func beginTLS(_ client: ClientPointer) -> Bool {
        if client.pointee.isUnix { return true }
        let context = shared.listenerTLS.load(ordering: .acquiring)
        if context == 0 { return true }
        guard context != 1, let pointer = UnsafeMutableRawPointer(bitPattern: context) else { return false }
        return client.pointee.socket.acceptTLS(pointer)
    }

    /// Listens.
    func startAccepting() {
        guard !isAccepting else { return }
        isAccepting = true
        for (index, listener) in listeners.enumerated() {
            poller.addListener(listener.descriptor, Handle(.listener, index: UInt32(index), generation: 0))
        }
    }

    /// Leaves new connections to others, or in the queue.
    func stopAccepting() {
        guard isAccepting else { return }
        isAccepting = false
        for listener in listeners { poller.remove(listener.descriptor) }
    }
}
