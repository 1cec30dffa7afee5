import Fleet
import Glibc

/// Where a command's words go, and what that place can show.
enum Terminal {
    /// Whether standard output is a terminal.
    static var isInteractive: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Whether colours are shown: on a terminal that has them, unless `NO_COLOR` is set.
    static var hasColour: Bool {
        guard isInteractive else { return false }
        let environment = Environment.current
        return environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
    }

    /// Colours that are used.
    enum Colour: String {
        case green = "\u{1b}[32m"
        case yellow = "\u{1b}[33m"
        case red = "\u{1b}[31m"
    }

    /// A text in a colour; for who has asked ``hasColour``.
    static func painted(_ text: String, _ colour: Colour) -> String { "\(colour.rawValue)\(text)\u{1b}[0m" }

    /// Columns and lines of the terminal; nil where there is none.
    static var size: (columns: Int, lines: Int)? {
        var window = winsize()
        guard isInteractive, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0 else { return nil }
        return (Int(window.ws_col), window.ws_row > 0 ? Int(window.ws_row) : 1000)
    }

    /// Columns that a line may have: the terminal's, else what COLUMNS says; nil for no limit.
    static var width: Int? {
        size?.columns ?? Environment.current["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// Writes a line to standard output.
    static func print(_ text: String) { write(Array((text + "\n").utf8), to: STDOUT_FILENO) }

    /// Writes bytes to standard output.
    static func write(_ bytes: [UInt8]) { write(bytes, to: STDOUT_FILENO) }

    /// Writes a line to standard error.
    static func error(_ text: String) { write(Array((text + "\n").utf8), to: STDERR_FILENO) }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                // Nobody reads any more (`stoker logs | head`): done, as far as they are concerned.
                if errno == EPIPE { _exit(ExitStatus.done.rawValue) }
                return
            }
            start += count
        }
    }
}
