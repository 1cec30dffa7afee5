import Fleet
import Glibc
import Synchronization

/// Keeps launches from falling into the moment in which this process becomes another program: who was spawned and not
/// written down yet would be nobody's.
final class LaunchGate: Sendable {
    private struct State {
        var isClosed = false
        var inside = 0
    }

    private let state = Mutex(State())

    /// Waits while it is closed. For a thread that may wait.
    func enter() {
        while !tryEnter() { usleep(10_000) }
    }

    private func tryEnter() -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            state.inside += 1
            return true
        }
    }

    /// Who has entered is done.
    func leave() { state.withLock { $0.inside -= 1 } }

    /// Lets nobody in any more and waits, within bounds, until nobody is inside; open again where that takes too long.
    func close(within patience: Duration) async -> Bool {
        state.withLock { $0.isClosed = true }
        let deadline = Instant.now() + patience
        while state.withLock({ $0.inside > 0 }) {
            guard Instant.now() < deadline else {
                open()
                return false
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    /// Lets in again.
    func open() { state.withLock { $0.isClosed = false } }
}
