/// Why the daemon cannot run. Each has a sentence that says what to do.
public struct DaemonFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The process's exit code: 1 failed, 2 configuration.
    public var exitCode: Int32
    /// The sentence for the user.
    public var description: String

    /// A failure.
    public init(_ description: String, exitCode: Int32 = 1) {
        self.description = description
        self.exitCode = exitCode
    }
}
