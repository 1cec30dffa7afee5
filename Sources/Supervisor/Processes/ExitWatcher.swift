import CLinux
import Glibc
import Synchronization

/// Sees the end of processes, children and others alike: one thread that sleeps in epoll on their pidfds. Nothing else
/// runs on it, so an exit is told at once whatever else the daemon does.
final class ExitWatcher: Sendable {
    /// The daemon's one watcher.
    static let shared = ExitWatcher()

    private struct State {
        var next: UInt64 = 1
        var handlers: [UInt64: @Sendable () -> Void] = [:]
    }

    private let epoll: Int32
    private let state = Mutex(State())

    private init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "no epoll instance can be made")
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let failure = pthread_create(&thread, nil, exitWatcherThread, context)
        precondition(failure == 0, "no thread can be made")
        pthread_detach(thread)
    }

    /// Calls the handler once, from the watcher's thread, when the process has ended; at once if it has.
    ///
    /// - Returns: A token for ``forget(_:pidfd:)``; nil when the pidfd cannot be watched.
    func watch(pidfd: Int32, _ handler: @escaping @Sendable () -> Void) -> UInt64? {
        let token = state.withLock { state in
            let token = state.next
            state.next += 1
            state.handlers[token] = handler
            return token
        }
        var event = epoll_event()
        event.events = UInt32(EPOLLIN.rawValue) | UInt32(EPOLLONESHOT.rawValue)
        event.data.u64 = token
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event) == 0 else {
            state.withLock { _ = $0.handlers.removeValue(forKey: token) }
            return nil
        }
        return token
    }

    /// Calls no handler for it any more.
    func forget(_ token: UInt64, pidfd: Int32) {
        state.withLock { _ = $0.handlers.removeValue(forKey: token) }
        epoll_ctl(epoll, EPOLL_CTL_DEL, pidfd, nil)
    }

    fileprivate func loop() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), -1)
            guard count > 0 else { continue }
            for event in events[0..<Int(count)] {
                let token = event.data.u64
                let handler = state.withLock { $0.handlers.removeValue(forKey: token) }
                handler?()
            }
        }
    }
}

private func exitWatcherThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<ExitWatcher>.fromOpaque(context).takeRetainedValue().loop()
    return nil
}
