import CLinux
import Fleet
import Glibc

/// The gateway's process: loops on threads of their own, and the calling thread as their control.
public enum GatewayWorker {
    /// Runs until retired by the supervisor or by SIGTERM (streams may end, a second one cuts them); returns the exit
    /// status, 0 for a retirement that went its way.
    public static func run(_ options: GatewayOptions) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        GatewayLog.style = options.log
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        // Before any thread is made, so that all of them have it: the control thread alone hears of these.
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let descriptor = signalfd(-1, &signals, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        raiseDescriptorLimit()
        let control = GatewayControl(options, signals: descriptor)
        let status = control.run()
        if descriptor >= 0 { close(descriptor) }
        return status
    }

    /// As many descriptors as the process may have: two a request, and idle ones.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
