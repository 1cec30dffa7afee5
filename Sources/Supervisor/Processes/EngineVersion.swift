/// A version of vLLM, as far as it decides about flags: `0.32.0+cpu`, `0.18.1.dev3` are 0.32 and 0.18.
public struct EngineVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The first number.
    public var major: Int
    /// The second number.
    public var minor: Int
    /// The third number.
    public var patch: Int

    /// A version from its numbers.
    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads a version; nil where it does not begin with two numbers.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", maxSplits: 3).prefix(3).map { $0.prefix { $0.isASCII && $0.isNumber } }
        guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
        self.init(major, minor, parts.count > 2 ? Int(parts[2]) ?? 0 : 0)
    }

    /// `0.32.0`
    public var description: String { "\(major).\(minor).\(patch)" }

    /// By number.
    public static func < (left: EngineVersion, right: EngineVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}
