/// How the last reload went, in ``StatusReport``: also one in which a new program took over.
public struct ReloadStatus: Sendable, Hashable, Codable {
    /// How far a reload is.
    public enum Outcome: String, Sendable, Hashable, Codable {
        /// It is under way.
        case running
        /// All of it was applied.
        case applied
        /// Nothing of it was: the configuration, or the new program, cannot be used.
        case refused
        /// Some of it could not be applied.
        case failed
    }

    /// Counts the reloads of this daemon, over changes of its program.
    public var number: Int
    /// When it began; RFC 3339 in UTC.
    public var at: String
    /// How far it is.
    public var outcome: Outcome
    /// What kept it from being applied, or what it did.
    public var detail: String

    /// A reload.
    public init(number: Int, at: String, outcome: Outcome, detail: String) {
        self.number = number
        self.at = at
        self.outcome = outcome
        self.detail = detail
    }
}
