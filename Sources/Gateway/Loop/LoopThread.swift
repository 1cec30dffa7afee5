import Glibc

/// The thread of one event loop.
struct LoopThread {
    private let thread: pthread_t

    /// Starts a loop on a thread of its own; nil when the system gives none.
    init?(_ loop: EventLoop) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(loop)
        let status = pthread_create(&thread, nil, runEventLoop, argument.toOpaque())
        guard status == 0 else {
            argument.release()
            return nil
        }
        self.thread = thread
    }

    /// Waits for its end.
    func join() { pthread_join(thread, nil) }
}

/// A thread's entry, at file scope: it captures nothing.
private func runEventLoop(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let loop = Unmanaged<EventLoop>.fromOpaque(argument!).takeRetainedValue()
    loop.run()
    loop.destroy()
    return nil
}
