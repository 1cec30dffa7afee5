import CCurl
import Fleet
import Synchronization

/// What the probe thread and the sending tasks share. The thread keeps it alive; ``CurlProber`` ends the thread.
final class CurlProberCore: Sendable {
    private let inbox = Mutex(Inbox())
    private let nextID = Atomic<UInt64>(1)
    private let turn = Atomic<UInt64>(Instant.now().nanoseconds)

    /// What tasks leave for the thread, and what both need to find it.
    private struct Inbox: ~Copyable {
        var submitted: [CurlTransfer] = []
        var cancelled: [UInt64] = []
        var isStopping = false
        /// Valid until the thread has ended: a wake-up is only ever sent under the lock.
        var multi: MultiHandle?
        var thread: pthread_t?
    }

    /// Lets the pointer cross to the thread; libcurl allows exactly curl_multi_wakeup from elsewhere.
    private struct MultiHandle: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }

    init() {}

    var lastTurn: Instant { Instant(nanoseconds: turn.load(ordering: .relaxed)) }

    func start(threadName: String) {
        _ = globalInitialisation
        guard let multi = curl_multi_init() else { return }
        inbox.withLock { inbox in
            inbox.multi = MultiHandle(pointer: multi)
            var thread = pthread_t()
            let context = Unmanaged.passRetained(self).toOpaque()
            if stoker_thread_start(&thread, threadName, runProbeThread, context) == 0 {
                inbox.thread = thread
            } else {
                // Every probe will say that there is no thread.
                Unmanaged<CurlProberCore>.fromOpaque(context).release()
                curl_multi_cleanup(multi)
                inbox.multi = nil
            }
        }
    }

    func makeTransfer(_ probe: HTTPProbe) -> CurlTransfer {
        CurlTransfer(id: nextID.add(1, ordering: .relaxed).oldValue, probe: probe)
    }

    func submit(_ transfer: CurlTransfer) {
        let taken = inbox.withLock { inbox in
            guard let multi = inbox.multi, !inbox.isStopping else { return false }
            inbox.submitted.append(transfer)
            curl_multi_wakeup(multi.pointer)
            return true
        }
        if !taken { transfer.finish(.failure(.other("the prober does not run"))) }
    }

    func cancel(_ transfer: CurlTransfer) {
        transfer.cancelled.store(true, ordering: .releasing)
        let id = transfer.id
        inbox.withLock { inbox in
            guard let multi = inbox.multi else { return }
            inbox.cancelled.append(id)
            curl_multi_wakeup(multi.pointer)
        }
    }

    func shutdown() {
        let thread = inbox.withLock { inbox in
            inbox.isStopping = true
            if let multi = inbox.multi { curl_multi_wakeup(multi.pointer) }
            let thread = inbox.thread
            inbox.thread = nil
            return thread
        }
        if let thread { pthread_join(thread, nil) }
    }

    /// The thread's whole life.
    fileprivate func run() {
        guard let multi = inbox.withLock({ $0.multi?.pointer }) else { return }
        var running: [UInt64: CurlTransfer] = [:]
        var owners: [UnsafeMutableRawPointer: UInt64] = [:]
        var isStopping = false
        while !isStopping {
            turn.store(Instant.now().nanoseconds, ordering: .relaxed)
            let (submitted, cancelled, stop) = inbox.withLock { inbox in
                defer {
                    inbox.submitted = []
                    inbox.cancelled = []
                }
                return (inbox.submitted, inbox.cancelled, inbox.isStopping)
            }
            isStopping = stop
            for transfer in submitted {
                begin(transfer, on: multi, running: &running, owners: &owners)
            }
            for id in cancelled {
                guard let transfer = running.removeValue(forKey: id), let easy = transfer.easy else { continue }
                owners[easy] = nil
                curl_multi_remove_handle(multi, easy)
                transfer.finish(.failure(.other("cancelled")))
            }
            if isStopping { break }
            var active: Int32 = 0
            curl_multi_perform(multi, &active)
            finishDone(on: multi, running: &running, owners: &owners)
            if curl_multi_poll(multi, nil, 0, 1000, nil) != CURLM_OK {
                // Out of memory or descriptors: try again, without spinning.
                var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
                nanosleep(&pause, nil)
            }
        }
        for transfer in running.values {
            if let easy = transfer.easy { curl_multi_remove_handle(multi, easy) }
            transfer.finish(.failure(.other("the prober was shut down")))
        }
        inbox.withLock { inbox in
            inbox.multi = nil
            curl_multi_cleanup(multi)
        }
    }

    private func begin(
        _ transfer: CurlTransfer, on multi: UnsafeMutableRawPointer, running: inout [UInt64: CurlTransfer],
        owners: inout [UnsafeMutableRawPointer: UInt64]
    ) {
        if transfer.cancelled.load(ordering: .acquiring) {
            return transfer.finish(.failure(.other("cancelled")))
        }
        if let problem = transfer.prepare() { return transfer.finish(.failure(.other(problem))) }
        guard let easy = transfer.easy, curl_multi_add_handle(multi, easy) == CURLM_OK else {
            return transfer.finish(.failure(.other("libcurl took no further request")))
        }
        running[transfer.id] = transfer
        owners[easy] = transfer.id
    }

    private func finishDone(
        on multi: UnsafeMutableRawPointer, running: inout [UInt64: CurlTransfer],
        owners: inout [UnsafeMutableRawPointer: UInt64]
    ) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            // The message is gone with the handle: read it first.
            let code = message.pointee.data.result
            curl_multi_remove_handle(multi, easy)
            guard let id = owners.removeValue(forKey: easy) else { continue }
            running.removeValue(forKey: id)?.finish(code: code)
        }
    }
}

/// The thread's body. At file scope: a closure made in an actor would trap on another thread.
private func runProbeThread(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<CurlProberCore>.fromOpaque(context).takeRetainedValue().run()
}

/// libcurl's own set-up, once a process.
private let globalInitialisation: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
