import CLinux
import Synchronization

/// Ports for servers that cannot listen on a Unix socket. Two servers that are given one port both start, and the
/// loser fails minutes later: so a port is given out once, however long its server takes to listen.
final class PortAllocator: Sendable {
    private let taken = Mutex<Set<UInt16>>([])

    /// A port of 127.0.0.1 that nobody has; nil where none can be had.
    func take() -> UInt16? {
        for _ in 0..<64 {
            let port = stoker_free_port()
            guard port > 0, let port = UInt16(exactly: port) else { return nil }
            if taken.withLock({ $0.insert(port).inserted }) { return port }
        }
        return nil
    }

    /// Gives a port back.
    func giveBack(_ port: UInt16) { taken.withLock { _ = $0.remove(port) } }
}
