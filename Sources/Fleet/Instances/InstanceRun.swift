/// One life of an instance: its name and the number of the run, counted from 1 and never reused.
///
/// Counts, drains and reports are kept by run, so that a replacement's traffic is never mistaken for its
/// predecessor's. An attached instance's run grows when its endpoint is seen to be another server.
public struct InstanceRun: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// The instance's name, `[a-z0-9-]{1,63}`, such as `chat-0`.
    public var instance: String
    /// The run's number, from 1.
    public var run: UInt64

    /// One run of an instance.
    public init(instance: String, run: UInt64) {
        self.instance = instance
        self.run = run
    }

    /// By name, then by run.
    public static func < (left: InstanceRun, right: InstanceRun) -> Bool {
        (left.instance, left.run) < (right.instance, right.run)
    }

    /// `chat-0.3`
    public var description: String { "\(instance).\(run)" }
}
