import Glibc

/// Standard error, whoever reads it: a journal that takes nothing holds up neither a loop nor a report.
enum StandardError {
    /// What a pipe, or a stream's buffer, takes at once when it says that it takes something (PIPE_BUF of pipe(7)).
    private static let piece = 4096

    /// Writes lines as long as they are taken at once; the rest is left out.
    ///
    /// - Parameter descriptor: Another one, for tests.
    static func write(_ lines: [UInt8], to descriptor: Int32 = 2) {
        var at = 0
        while at < lines.count {
            var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&poller, 1, 0) == 1, poller.revents & Int16(POLLOUT) != 0 else { return }
            let count = min(piece, lines.count - at)
            let put = lines.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + at, count) }
            if put > 0 { at += put } else if errno != EINTR { return }
        }
    }
}
