import NIOCore
import Synchronization

/// The admin side's open connections, to bound and to end them.
final class AdminConnections: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let answers = Atomic(0)

    /// Remembers a connection; false when there are too many.
    func insert(_ channel: any Channel, limit: Int) -> Bool {
        channels.withLock { channels in
            guard channels.count < limit else { return false }
            channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    /// One more is being answered, or one less.
    func answering(_ change: Int) { answers.add(change, ordering: .relaxed) }

    /// Whether anything is being answered.
    var isAnswering: Bool { answers.load(ordering: .relaxed) > 0 }

    /// Forgets a connection.
    func remove(_ channel: any Channel) {
        channels.withLock { channels in channels[ObjectIdentifier(channel)] = nil }
    }

    /// Closes whatever is open.
    func closeAll() {
        for channel in channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}
