/// How a process ended.
public enum ProcessEnd: Sendable, Hashable, CustomStringConvertible {
    /// It exited with a code. vLLM exits 0 when its engine dies.
    case code(Int32)
    /// A signal ended it.
    case signal(Int32)
    /// It is gone, and whose child it was has not been told how: an adopted process.
    case unknown

    /// `exit code 1`, `signal 9 (SIGKILL)`, `exit code unknown (adopted)`
    public var description: String {
        switch self {
        case .code(let code): return "exit code \(code)"
        case .signal(let number):
            let names: [Int32: String] = [
                2: "SIGINT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV",
                15: "SIGTERM",
            ]
            return names[number].map { "signal \(number) (\($0))" } ?? "signal \(number)"
        case .unknown: return "exit code unknown (adopted)"
        }
    }
}
