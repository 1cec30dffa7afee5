import Dispatch

/// Steps that may hang in the kernel, such as reading the maps of a process whose memory is locked: done elsewhere, and
/// waited for within bounds. What is not done by then is done without.
enum Bounded {
    /// Runs the work on a queue and waits for it; whether it was done in time.
    @discardableResult
    static func wait(
        _ limit: DispatchTimeInterval, on queue: DispatchQueue? = nil, _ work: @escaping @Sendable () -> Void
    ) -> Bool {
        let done = DispatchSemaphore(value: 0)
        (queue ?? DispatchQueue(label: "stoker.bounded")).async {
            work()
            done.signal()
        }
        return done.wait(timeout: .now() + limit) == .success
    }
}
