/// A key, token or password. Its value never shows in a description, a log line or a debugger's summary:
/// only ``reveal()`` gives it out, so that each place where a secret leaves can be found by that name.
public struct Secret: Sendable, Hashable, Codable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let value: String

    /// Wraps a secret value.
    public init(_ value: String) { self.value = value }

    /// The secret itself.
    public func reveal() -> String { value }

    /// Always `(set)`.
    public var description: String { "(set)" }

    /// Always `(set)`.
    public var debugDescription: String { "(set)" }

    /// Shows nothing of the value.
    public var customMirror: Mirror { Mirror(self, children: [:]) }

    /// Codes as the bare string: only on the registry's socket and in files of mode 0600.
    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(String.self)
    }

    /// Codes as the bare string: only on the registry's socket and in files of mode 0600.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
