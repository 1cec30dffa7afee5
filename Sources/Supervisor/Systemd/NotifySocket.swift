import CSystemd
import Glibc

/// Where `sd_notify` messages go. One real implementation, one fake in the tests.
public protocol NotifySocket: Sendable {
    /// Sends assignments such as `READY=1`, one a line. Never blocks for long and never fails aloud: a service manager
    /// that is gone must not harm the service.
    ///
    /// - Returns: Whether it was taken, or there is no service manager to take it.
    @discardableResult
    func send(_ message: String) -> Bool
    /// Gives a descriptor to the unit's store (FileDescriptorStoreMax=), so that it outlives a crash of this process.
    func store(_ descriptor: Int32, name: String)
}

/// libsystemd's `sd_notify`, by `$NOTIFY_SOCKET`; does nothing where that is not set.
public struct SystemdNotifySocket: NotifySocket {
    /// The socket of this process's environment.
    public init() {}

    /// sd_notify(3)
    public func send(_ message: String) -> Bool {
        // It needs a descriptor for a moment, and the watchdog has to be fed without one, too.
        let result: Int32? = SpareDescriptor.lend {
            let result = sd_notify(0, message)
            guard result == -EMFILE || result == -ENFILE else { return result }
            errno = -result
            return nil
        }
        return (result ?? -1) >= 0
    }

    /// sd_pid_notify_with_fds(3). One descriptor is stored once, however often it is sent (the kernel's file decides).
    public func store(_ descriptor: Int32, name: String) {
        var descriptor = descriptor
        sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=\(name)", &descriptor, 1)
    }
}
