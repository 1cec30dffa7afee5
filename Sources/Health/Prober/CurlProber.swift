import CCurl
import Fleet
import Synchronization

/// The real ``HTTPProber``: libcurl's multi interface on one thread of its own.
///
/// Hundreds of probes share one multi handle; each has its own connection, which proves that new ones are accepted,
/// and which is closed when the probe ends, is cancelled or times out: vLLM then aborts the request.
/// No redirect is followed, no proxy of the environment is used, no name is looked up.
public final class CurlProber: HTTPProber {
    private let core: CurlProberCore

    /// Starts the thread.
    ///
    /// - Parameter threadName: For `ps -L` and debuggers; the kernel keeps 15 characters.
    public init(threadName: String = "stoker-probes") {
        core = CurlProberCore()
        core.start(threadName: threadName)
    }

    deinit { core.shutdown() }

    /// When the thread last went round its loop. It does so at least every second; older than a few seconds means
    /// that it is stuck: no watchdog message then.
    public var lastTurn: Instant { core.lastTurn }

    /// Sends a request and waits for its end. A cancelled task gets its failure at once, and the connection closes.
    public func send(_ probe: HTTPProbe) async -> HTTPProbeResult {
        let transfer = core.makeTransfer(probe)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.continuation = continuation
                core.submit(transfer)
            }
        } onCancel: {
            core.cancel(transfer)
        }
    }

    /// Ends the thread. Probes under way, and those sent later, get a failure. Blocks for some milliseconds; a second
    /// call does nothing.
    public func shutdown() { core.shutdown() }
}
