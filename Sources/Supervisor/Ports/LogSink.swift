import Fleet

/// Where engines' output is forwarded to, line by line: the journal or standard error. May be slow: the log file is
/// the buffer, and an engine never waits for it.
public protocol LogSink: Sendable {
    /// One line of a run's output, without its newline.
    func line(_ text: String, of run: InstanceRun)
}

/// Forwards nothing.
public struct NoLogSink: LogSink {
    /// Nothing.
    public init() {}

    /// Drops the line.
    public func line(_ text: String, of run: InstanceRun) {}
}
