import Glibc
import Synchronization

/// A descriptor that is kept for the moment in which this process has none left: whoever cannot open a file of /proc
/// must not take the process for gone, nor a tree for empty.
enum SpareDescriptor {
    private static let spare = Mutex(open("/dev/null", O_RDONLY | O_CLOEXEC))

    /// Opens the spare one now, while there are others.
    static func prepare() { spare.withLock { _ in } }

    /// Does what opens and closes one file; where the table is full (EMFILE, ENFILE), once more with the spare one's place.
    ///
    /// - Parameter work: nil, with `errno`, where the file could not be opened.
    static func lend<Value>(_ work: () -> Value?) -> Value? {
        if let value = work() { return value }
        guard errno == EMFILE || errno == ENFILE else { return nil }
        return spare.withLock { spare in
            if spare >= 0 { close(spare) }
            defer { spare = open("/dev/null", O_RDONLY | O_CLOEXEC) }
            return work()
        }
    }

    /// Whether there is a descriptor left beside it; a sentence where there is none.
    static func shortage() -> String? {
        let descriptor = fcntl(0, F_DUPFD_CLOEXEC, 0)
        if descriptor >= 0 {
            close(descriptor)
            return nil
        }
        guard errno == EMFILE || errno == ENFILE else { return nil }
        let whose = errno == EMFILE ? "the daemon has" : "the machine has"
        return
            "\(whose) no file descriptor left (LimitNOFILE=, fs.file-max): nothing is started or asked until there is one; what runs goes on"
    }
}
