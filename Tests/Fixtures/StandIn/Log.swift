import CLinux
import Glibc

/// Lines on standard output as vLLM writes them.
enum Log {
    /// A line of the API server's logger.
    static func info(_ text: String, at place: String = "launcher.py:195", level: String = "INFO") {
        line("(APIServer pid=\(getpid())) \(level) \(stamp()) [\(place)] \(text)")
    }

    /// A line of the engine's logger.
    static func engine(_ pid: pid_t, _ text: String, at place: String = "core.py:133", level: String = "INFO") {
        line("(EngineCore pid=\(pid)) \(level) \(stamp()) [\(place)] \(text)")
    }

    /// A line as it is. One write, so that lines of several processes do not mix; it blocks when nobody reads, as
    /// Python's does.
    static func line(_ text: String) {
        writeAll(1, Array((text + "\n").utf8))
    }

    private static func stamp() -> String {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
