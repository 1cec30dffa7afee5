/// One thing that the preflight found: what would fail later, or might.
public struct PreflightFinding: Sendable, Hashable {
    /// Whether it stops something from working.
    public var severity: Severity
    /// The configuration key that it belongs to, such as `providers.chat.command`; `admin`, `state` or `runtime` beside
    /// those.
    public var path: String
    /// What is wrong and what to do.
    public var message: String

    /// A finding.
    public init(_ severity: Severity, _ path: String, _ message: String) {
        self.severity = severity
        self.path = path
        self.message = message
    }

    /// How bad it is.
    public enum Severity: String, Sendable, Hashable {
        /// Will not work.
        case error
        /// May not work, or not well.
        case warning
    }
}
