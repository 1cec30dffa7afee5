/// One thing that the preflight found: what would fail later, or might.
public struct PreflightFinding: Sendable, Hashable {
    /// Whether it stops something from working.
    public var severity: Severity
    /// The configuration key that it belongs to, such as `providers.chat.command`; `admin`, `state` or `runtime` beside
    /// those.
    public var path: String
    /// What is wrong and what to do.
    public var message: String
    /// Where it stands, when that is not the configuration file.
    public var place: Place?

    /// A finding.
    public init(_ severity: Severity, _ path: String, _ message: String, at place: Place? = nil) {
        self.severity = severity
        self.path = path
        self.message = message
        self.place = place
    }

    /// A line of another file, such as the unit's.
    public struct Place: Sendable, Hashable {
        /// The file.
        public var file: String
        /// From 1; 0 where it is the file as a whole.
        public var line: Int

        /// A place.
        public init(file: String, line: Int) {
            self.file = file
            self.line = line
        }
    }

    /// How bad it is.
    public enum Severity: String, Sendable, Hashable {
        /// Will not work.
        case error
        /// May not work, or not well.
        case warning
    }
}
