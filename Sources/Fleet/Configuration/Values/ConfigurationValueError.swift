/// Why a text is not a value of its kind.
public struct ConfigurationValueError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A sentence for the user: what was expected, and such as what. Never contains the text itself.
    public var description: String
    /// Whether the offending text may and should be shown after the sentence.
    public var showsValue: Bool

    /// An error.
    public init(_ description: String, showsValue: Bool = true) {
        self.description = description
        self.showsValue = showsValue
    }
}
