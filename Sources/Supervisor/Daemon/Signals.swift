import CLinux
import Glibc
import Synchronization

/// The signals that a person or a service manager sends to the daemon.
enum Signals {
    /// The pipe that was made early, by signal.
    private static let taken = Mutex<[Int32: Int32]>([:])

    /// Takes these signals over from now on, and gives every other one what a fresh process has. To be called on the first
    /// thread, before there are others; ``stream(of:)`` yields what has come meanwhile, too.
    static func take(_ signals: [Int32]) {
        let descriptor = stoker_signal_pipe(signals, Int32(signals.count))
        for signal in signals { taken.withLock { $0[signal] = descriptor } }
        stoker_fresh_signals()
    }

    private static let isPaused = Mutex(false)

    /// Leaves what comes from now on in the pipe, for the program that takes this one's place; or goes on reading.
    ///
    /// - Returns: The pipe's reading end; nil where signals were not taken.
    static func pause(_ isPaused: Bool) -> Int32? {
        self.isPaused.withLock { $0 = isPaused }
        return taken.withLock { $0.values.first { $0 >= 0 } }
    }

    /// Sends this process anew what the program before it has not got to.
    static func repeatUnread(_ descriptor: Int32) {
        defer { close(descriptor) }
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        while poll(&poller, 1, 0) == 1, poller.revents & Int16(POLLIN) != 0, read(descriptor, &byte, 1) == 1 {
            kill(getpid(), Int32(byte))
        }
    }

    /// Takes these signals over from now on, for the rest of the process's life, and yields each as it comes.
    static func stream(of signals: [Int32]) -> AsyncStream<Int32> {
        let earlier = taken.withLock { taken in signals.first.flatMap { taken[$0] } }
        let descriptor = earlier ?? stoker_signal_pipe(signals, Int32(signals.count))
        return AsyncStream { continuation in
            guard descriptor >= 0 else {
                continuation.finish()
                return
            }
            BlockingThread.detach {
                while true {
                    var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    poll(&poller, 1, -1)
                    let count = isPaused.withLock { isPaused -> Int in
                        if isPaused { return 0 }
                        var byte: UInt8 = 0
                        let count = read(descriptor, &byte, 1)
                        if count == 1 { continuation.yield(Int32(byte)) }
                        return count < 0 && errno == EINTR ? 0 : count == 0 ? -1 : count
                    }
                    if count == 0 { usleep(10_000) }
                    if count < 0 {
                        continuation.finish()
                        return
                    }
                }
            }
        }
    }
}
