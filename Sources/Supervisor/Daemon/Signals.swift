import CLinux
import Glibc

/// The signals that a person or a service manager sends to the daemon.
enum Signals {
    /// Takes these signals over from now on, for the rest of the process's life, and yields each as it comes.
    static func stream(of signals: [Int32]) -> AsyncStream<Int32> {
        let descriptor = stoker_signal_pipe(signals, Int32(signals.count))
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
