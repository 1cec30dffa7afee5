import Glibc

/// The limits of a process that matter here.
struct ProcessLimits: Sendable, Hashable {
    /// Open files, as they are.
    var filesSoft: UInt64
    /// Open files, as far as they may be raised.
    var filesHard: UInt64
    /// Locked memory in bytes.
    var lockedHard: UInt64

    /// This process's.
    static var present: ProcessLimits {
        func limit(_ kind: UInt32) -> rlimit {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(kind), &limit)
            return limit
        }
        let files = limit(RLIMIT_NOFILE.rawValue)
        let locked = limit(__RLIMIT_MEMLOCK.rawValue)
        return ProcessLimits(
            filesSoft: UInt64(files.rlim_cur), filesHard: UInt64(files.rlim_max), lockedHard: UInt64(locked.rlim_max))
    }
}
