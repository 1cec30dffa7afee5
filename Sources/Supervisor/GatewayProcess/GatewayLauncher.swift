import CLinux
import Fleet
import Glibc

/// Starts gateway processes. One real implementation, one fake in the tests.
public protocol GatewayLauncher: Sendable {
    /// Starts one with these sockets and returns its pid.
    func launch(_ order: GatewayLaunchOrder) throws(DaemonFailure) -> Int32
    /// Waits for the end of a gateway process and takes its status away.
    func exit(of pid: Int32) async -> GatewayExit
    /// Sends a signal to it.
    func signal(_ signal: Int32, to pid: Int32)
}

/// What a gateway process is given.
public struct GatewayLaunchOrder: Sendable, Hashable {
    /// Our own executable: ``ExecutableFile/running``, or a test's.
    public var executable: String
    /// The name that it is shown by.
    public var name = "stoker"
    /// Its listening sockets.
    public var listeners: [ListeningSocket]
    /// The registry's socket.
    public var registryPath: String
    /// Event loops.
    public var loops: Int
    /// The environment: without keys, without what systemd means for the supervisor alone.
    public var environment: [String: String]
}

/// How a gateway process ended.
public struct GatewayExit: Sendable, Hashable, CustomStringConvertible {
    /// The exit code, where it exited.
    public var code: Int32?
    /// The signal, where one ended it.
    public var signal: Int32?

    /// "exit code 0" or "signal 9".
    public var description: String {
        if let signal { return "signal \(signal)" }
        return code.map { "exit code \($0)" } ?? "unknown"
    }
}

/// posix_spawn of `stoker gateway`, in a process group of its own so that Ctrl-C is the supervisor's to handle.
public struct PosixGatewayLauncher: GatewayLauncher {
    /// The real thing.
    public init() {}

    /// Spawns `stoker gateway` with the sockets as descriptors 3 and on.
    public func launch(_ order: GatewayLaunchOrder) throws(DaemonFailure) -> Int32 {
        // Sources are first moved out of the way of the numbers that they are to have.
        let sources = order.listeners.map { fcntl($0.descriptor, F_DUPFD_CLOEXEC, 200) }
        defer { for source in sources where source >= 0 { close(source) } }
        guard sources.allSatisfy({ $0 >= 0 }) else {
            throw DaemonFailure("no descriptor left for the gateway: raise LimitNOFILE")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (index, source) in sources.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, source, Int32(3 + index))
        }
        stoker_spawn_closefrom(&actions, Int32(3 + sources.count))
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var arguments = [order.name, "gateway", "--registry", order.registryPath, "--loops", "\(order.loops)"]
        for (index, listener) in order.listeners.enumerated() {
            arguments += ["--listener", "\(3 + index)=\(listener.address)"]
        }
        let environment = order.environment.map { "\($0.key)=\($0.value)" }
        var pid: pid_t = 0
        let result = withCStrings(arguments) { argv in
            withCStrings(environment) { envp in
                posix_spawn(&pid, order.executable, &actions, &attributes, argv, envp)
            }
        }
        guard result == 0 else {
            throw DaemonFailure(
                "the gateway cannot be started from \(order.executable): \(String(cString: strerror(result)))")
        }
        return pid
    }

    /// Waits by pidfd, so that a gateway of an earlier life, which is no child of ours, is waited for alike.
    public func exit(of pid: Int32) async -> GatewayExit {
        let pidfd = stoker_pidfd_open(pid)
        guard pidfd >= 0 else { return GatewayExit() }
        defer { close(pidfd) }
        await withCheckedContinuation { continuation in
            if ExitWatcher.shared.watch(pidfd: pidfd, { continuation.resume() }) == nil { continuation.resume() }
        }
        var code: Int32 = 0
        var status: Int32 = 0
        guard stoker_pidfd_reap(pidfd, &code, &status) == 1 else { return GatewayExit() }
        return code == Int32(CLD_EXITED) ? GatewayExit(code: status) : GatewayExit(signal: status)
    }

    /// kill(2)
    public func signal(_ signal: Int32, to pid: Int32) { kill(pid, signal) }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
        // The array has at least its terminator, so its base address is there.
        body(buffer.baseAddress.unsafelyUnwrapped)
    }
}
