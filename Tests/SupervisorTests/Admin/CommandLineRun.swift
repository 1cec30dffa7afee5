import Fleet
import Glibc
import Synchronization

@testable import Supervisor

/// One run of the built `stoker`.
struct CommandLineRun: Sendable {
    /// The exit code; 128 and the signal's number where a signal ended it.
    var code: Int32
    var output: String
    var errors: String

    /// The binary beside this test's own.
    static let binary: String? = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            readlink("/proc/self/exe", bytes.bindMemory(to: CChar.self).baseAddress!, bytes.count)
        }
        guard count > 0 else { return nil }
        let own = String(decoding: buffer[..<count], as: UTF8.self)
        guard let slash = own.lastIndex(of: "/") else { return nil }
        let binary = "\(own[..<slash])/stoker"
        return access(binary, X_OK) == 0 ? binary : nil
    }()

    /// How a run ended.
    enum End: Equatable, Sendable {
        case code(Int32)
        case signal(Int32)
    }

    /// Runs to the end; blocks.
    init(_ arguments: [String]) throws {
        let running = try Running(arguments)
        switch running.end(with: nil) {
        case .code(let number): code = number
        case .signal(let number): code = 128 + number
        }
        output = running.output
        errors = running.errors
    }

    /// A run that goes on.
    final class Running: Sendable {
        private let pid: pid_t
        private let directory: TemporaryDirectory

        var output: String { Self.text("\(directory.path)/out") }
        var errors: String { Self.text("\(directory.path)/err") }

        init(_ arguments: [String]) throws {
            guard let binary = CommandLineRun.binary else { throw AdminClient.Failure.unreachable("no binary") }
            directory = try TemporaryDirectory()
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 1, "\(directory.path)/out", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            posix_spawn_file_actions_addopen(&actions, 2, "\(directory.path)/err", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            // Dispatch's threads block signals, and a child inherits that.
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            var none = sigset_t()
            sigemptyset(&none)
            var all = sigset_t()
            sigfillset(&all)
            posix_spawnattr_setsigmask(&attributes, &none)
            posix_spawnattr_setsigdefault(&attributes, &all)
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
            var words: [UnsafeMutablePointer<CChar>?] = ([binary] + arguments).map { strdup($0) }
            words.append(nil)
            defer { for word in words { free(word) } }
            var pid: pid_t = 0
            guard posix_spawn(&pid, binary, &actions, &attributes, words, environ) == 0 else {
                throw AdminClient.Failure.unreachable("posix_spawn")
            }
            self.pid = pid
        }

        deinit { directory.remove() }

        /// Sends a signal, if any, and waits; after 30 s it is killed.
        func end(with signal: Int32?) -> End {
            if let signal { kill(pid, signal) }
            let deadline = Instant.now() + .seconds(30)
            var status: Int32 = 0
            while waitpid(pid, &status, WNOHANG) == 0 {
                if Instant.now() > deadline { kill(pid, SIGKILL) }
                usleep(5_000)
            }
            return status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
        }

        private static func text(_ path: String) -> String {
            let descriptor = open(path, O_RDONLY)
            guard descriptor >= 0 else { return "" }
            defer { close(descriptor) }
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                guard count > 0 else { return String(decoding: text, as: UTF8.self) }
                text += buffer[..<count]
            }
        }
    }
}
