import CLinux
import Fleet
import Glibc

/// One run of a program to its end, within bounds, with what it says on both of its channels. For a thread that may wait.
enum ProgramRun {
    /// How it ended.
    struct End: Sendable, Hashable, CustomStringConvertible {
        /// The exit code, where it exited.
        var code: Int32?
        /// The signal, where one ended it.
        var signal: Int32?
        /// What it wrote to its standard output, at most 1 MiB.
        var output: String
        /// What it wrote to its standard error, at most 64 KiB.
        var errors: String

        var description: String {
            if let code { return "exited with \(code)" }
            return signal.map { "was ended by signal \($0)" } ?? "ended"
        }
    }

    /// Why it has no end to tell of.
    struct Failure: Error, Sendable, Hashable {
        var reason: String
    }

    /// Runs it in a process group of its own, which is killed when the patience is over.
    static func run(
        _ path: String, _ arguments: [String], environment: [String: String], patience: Duration
    ) -> Result<End, Failure> {
        // Files, not pipes: nobody has to read while it runs.
        let output = stoker_memfd("stoker-output")
        let errors = stoker_memfd("stoker-errors")
        defer { for descriptor in [output, errors] where descriptor >= 0 { close(descriptor) } }
        guard output >= 0, errors >= 0 else { return .failure(Failure(reason: SystemFile.reason())) }
        var pid: pid_t = 0
        let result = CStrings.withArray(arguments) { arguments in
            CStrings.withArray(environment.map { "\($0.key)=\($0.value)" }) { variables in
                spawn(path, arguments, variables, output, errors, &pid)
            }
        }
        guard result == 0 else { return .failure(Failure(reason: SystemFile.reason(result))) }
        let pidfd = stoker_pidfd_open(pid)
        var isOver = false
        if pidfd >= 0 {
            var poller = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            let deadline = Instant.now() + patience
            while !isOver, case let left = deadline - .now(), left > .zero {
                isOver = poll(&poller, 1, Int32(clamping: left.nanoseconds / 1_000_000 + 1)) == 1
            }
            close(pidfd)
        }
        if !isOver { kill(-pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard isOver else { return .failure(Failure(reason: "it had not ended after \(patience)")) }
        // Whoever it has left behind has no business here.
        kill(-pid, SIGKILL)
        let hasExited = status & 0x7F == 0
        return .success(
            End(
                code: hasExited ? (status >> 8) & 0xFF : nil, signal: hasExited ? nil : status & 0x7F,
                output: text(output, limit: 1 << 20), errors: text(errors, limit: 64 << 10)))
    }

    private static func text(_ descriptor: Int32, limit: Int) -> String {
        lseek(descriptor, 0, SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: limit)
        var length = 0
        while length < limit {
            let count = bytes[length...].withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count <= 0 { break }
            length += count
        }
        return String(decoding: bytes[..<length], as: UTF8.self)
    }

    private static func spawn(
        _ path: String, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
        _ variables: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ output: Int32, _ errors: Int32,
        _ pid: inout pid_t
    ) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        stoker_spawn_closefrom(&actions, 3)
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
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        return posix_spawn(&pid, path, &actions, &attributes, arguments, variables)
    }
}
