import Fleet

/// What is counted and timed of an instance, beside what its status says.
public struct InstanceMeasures: Sendable, Hashable {
    /// How often it was started again without being asked to, by the failure's kind: `exit`, `hang` …
    public var restarts: [String: Int]
    /// How long its newest start took until it was ready; nil where none was seen.
    public var readyAfter: Duration?
    /// How long the newest probe of each witness took.
    public var probes: [InstanceStatus.Signal: Duration]

    /// Measures; none by default.
    public init(
        restarts: [String: Int] = [:], readyAfter: Duration? = nil, probes: [InstanceStatus.Signal: Duration] = [:]
    ) {
        self.restarts = restarts
        self.readyAfter = readyAfter
        self.probes = probes
    }
}
