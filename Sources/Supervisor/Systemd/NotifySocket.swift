import CSystemd

/// Where `sd_notify` messages go. One real implementation, one fake in the tests.
public protocol NotifySocket: Sendable {
    /// Sends assignments such as `READY=1`, one a line. Never blocks for long and never fails aloud: a service manager
    /// that is gone must not harm the service.
    func send(_ message: String)
}

/// libsystemd's `sd_notify`, by `$NOTIFY_SOCKET`; does nothing where that is not set.
public struct SystemdNotifySocket: NotifySocket {
    /// The socket of this process's environment.
    public init() {}

    /// sd_notify(3)
    public func send(_ message: String) { sd_notify(0, message) }
}
