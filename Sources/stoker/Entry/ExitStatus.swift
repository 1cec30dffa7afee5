/// What `stoker` exits with.
enum ExitStatus: Int32 {
    /// Done.
    case done = 0
    /// Tried and failed.
    case failed = 1
    /// Wrong usage, or a wrong configuration.
    case usage = 2
    /// No daemon answers.
    case noDaemon = 3
    /// No instance or provider of that name.
    case noSuchInstance = 4
}

/// Why a command failed: a sentence and an exit code.
struct CommandFailure: Error {
    /// The exit code.
    var status: ExitStatus
    /// For the user: what is wrong and what to do.
    var message: String
}
