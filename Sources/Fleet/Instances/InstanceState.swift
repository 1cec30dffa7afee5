/// The states of an instance, in the words that status, dashboard, metrics and logs use.
///
/// A launched instance passes `stopped → starting → loading → warming → ready`, an attached one
/// `connecting → ready`. Only `ready` is published.
public enum InstanceState: String, Sendable, Hashable, Codable, CaseIterable {
    /// Not running, and nobody wants it to. Next: starting.
    case stopped
    /// About to run: waiting for its turn, a GPU or its old tree's end. Next: loading, backoff, failed, stopping.
    case starting
    /// The process lives and loads its model. Next: warming, backoff, failed, stopping.
    case loading
    /// `/v1/models` answers; a real request, then the gateway's confirmation is awaited. Next: ready, backoff, failed, stopping.
    case warming
    /// Works, published, routed to. Next: unhealthy, draining, stopping, backoff.
    case ready
    /// Lives but does not work: not published. Next: ready, draining, stopping, backoff, failed.
    case unhealthy
    /// Not published any more; what is in flight may finish. Next: stopping, ready (undrain).
    case draining
    /// Told to end; its tree is being killed when it does not. Next: stopped, starting, backoff, quarantined.
    case stopping
    /// Ended without being asked; waits before the next start. Next: starting, stopped, failed.
    case backoff
    /// Given up, with the reason, until a person or a reload starts it. Next: starting, stopped.
    case failed
    /// SIGKILL did not end it: nothing is started beside it. Next: stopped, when the process is gone.
    case quarantined
    /// Attached: not reached yet, or not any more. Next: ready, misconfigured.
    case connecting
    /// Attached or launched elsewhere: answers, but cannot be used as configured (401, another server). Heals by itself.
    case misconfigured
}
