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
                var byte: UInt8 = 0
                while true {
                    let count = read(descriptor, &byte, 1)
                    if count == 1 {
                        continuation.yield(Int32(byte))
                    } else if count < 0, errno == EINTR {
                        continue
                    } else {
                        continuation.finish()
                        return
                    }
                }
            }
        }
    }
}
