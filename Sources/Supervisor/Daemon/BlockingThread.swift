import Glibc

/// A thread for calls that block, outside of Swift's pool.
enum BlockingThread {
    /// Runs `body` on a thread of its own. Where no thread can be had, runs it here: late is better than never.
    static func detach(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let result = pthread_create(&thread, nil, blockingThreadMain, box.toOpaque())
        if result == 0 {
            pthread_detach(thread)
        } else {
            box.takeRetainedValue().body()
        }
    }

    fileprivate final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

/// At file scope: a closure literal given to C from inside an actor would trap on another thread.
private func blockingThreadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Unmanaged<BlockingThread.Box>.fromOpaque(argument).takeRetainedValue().body() }
    return nil
}
