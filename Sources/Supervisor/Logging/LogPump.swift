import Dispatch
import Glibc
import Synchronization

/// Hands what is to be logged to a thread of its own: a journal or a terminal that takes nothing holds up nobody who has
/// something to say. What waits is bounded; beyond that entries are left out, and counted.
final class LogPump: Sendable {
    /// What is to be written.
    enum Entry: Sendable {
        /// A line, with its end, to a descriptor.
        case line([UInt8])
        /// The fields of a journal entry.
        case fields([[UInt8]])

        var size: Int {
            switch self {
            case .line(let bytes): return bytes.count
            case .fields(let fields): return fields.reduce(0) { $0 + $1.count }
            }
        }
    }

    private struct State {
        var waiting: [Entry] = []
        var bytes = 0
        var dropped = 0
        /// Taken from the queue and not written yet.
        var isWriting = false
    }

    private let state = Mutex(State())
    private let hasMore = DispatchSemaphore(value: 0)
    private let room: Int
    private let write: @Sendable (Entry) -> Void
    private let excuse: @Sendable (Int) -> Entry

    /// A pump with a thread.
    ///
    /// - Parameters:
    ///   - room: Bytes that may wait.
    ///   - excuse: What says how many entries were left out.
    ///   - write: Writes one; may wait as long as it must.
    init(
        room: Int = 8 << 20, excuse: @escaping @Sendable (Int) -> Entry, write: @escaping @Sendable (Entry) -> Void
    ) {
        self.room = room
        self.excuse = excuse
        self.write = write
        BlockingThread.detach { self.run() }
    }

    /// Takes an entry, at once.
    func add(_ entry: Entry) {
        let isTaken = state.withLock { state -> Bool in
            guard state.bytes + entry.size <= room else {
                state.dropped += 1
                return false
            }
            state.waiting.append(entry)
            state.bytes += entry.size
            return true
        }
        if isTaken { hasMore.signal() }
    }

    /// Waits, within bounds, until everything was written; before the process ends or becomes another program.
    func flush(within patience: Duration) {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            if state.withLock({ $0.waiting.isEmpty && !$0.isWriting }) { return }
            usleep(1000)
        }
    }

    private func run() {
        while true {
            hasMore.wait()
            let (entries, dropped) = state.withLock { state -> ([Entry], Int) in
                let taken = (state.waiting, state.dropped)
                state.waiting = []
                state.dropped = 0
                state.isWriting = true
                return taken
            }
            for entry in entries {
                write(entry)
                state.withLock { $0.bytes -= entry.size }
            }
            if dropped > 0 { write(excuse(dropped)) }
            state.withLock { $0.isWriting = false }
        }
    }
}
