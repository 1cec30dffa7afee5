import NIOCore
import Synchronization

/// The admin side's open connections, to bound and to end them.
final class AdminConnections: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    /// Remembers a connection; false when there are too many.
    func insert(_ channel: any Channel, limit: Int) -> Bool {
        channels.withLock { channels in
            guard channels.count < limit else { return false }
            channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    /// Forgets a connection.
    func remove(_ channel: any Channel) {
        channels.withLock { channels in channels[ObjectIdentifier(channel)] = nil }
    }

    /// Closes whatever is open.
    func closeAll() {
        for channel in channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}
