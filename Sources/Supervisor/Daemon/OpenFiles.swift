import Glibc

/// The limit of open files, raised for ourselves and the gateway; engines get back what it was.
enum OpenFiles {
    /// Raises the soft limit to the hard one and returns what it was; nil where it cannot be told.
    static func raise() -> UInt64? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        let before = UInt64(limit.rlim_cur)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return before
    }
}
