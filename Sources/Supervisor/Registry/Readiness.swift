import Fleet

/// Whether the daemon as a whole is ready, by `ready_when`, and what a person is told about it.
public struct Readiness: Sendable, Hashable {
    /// Whether `/ready` answers 200.
    public var isReady: Bool
    /// Whether waiting cannot help: nothing is configured, or every instance has settled without being ready.
    public var isHopeless: Bool
    /// "2/3 instances ready; chat-1 loading, 43 %": one line, for STATUS, status and `/ready`.
    public var reason: String

    init(readyWhen: Configuration.ReadyWhen, records: [InstanceRecord], expected: Int, isGatewayListening: Bool) {
        let ready = records.filter { $0.status.state == .ready }.count
        let total = max(expected, records.count)
        switch readyWhen {
        case .any: isReady = ready > 0 && isGatewayListening
        case .all: isReady = total > 0 && ready == total && isGatewayListening
        case .listening: isReady = isGatewayListening
        }
        let isStillMoving = records.count < total || records.contains { !$0.settled && $0.status.state != .ready }
        isHopeless = !isReady && isGatewayListening && !isStillMoving
        guard total > 0 else {
            reason = "no provider is configured"
            return
        }
        var parts = ["\(ready)/\(total) instance\(total == 1 ? "" : "s") ready"]
        if !isGatewayListening { parts.append("the gateway is starting") }
        parts += records.filter { $0.status.state != .ready }.prefix(4).map(Self.detail)
        reason = parts.joined(separator: "; ")
    }

    /// "chat-1 loading, 43 %", "chat-0 failed: out of GPU memory".
    private static func detail(_ record: InstanceRecord) -> String {
        "\(record.status.id) \(sentence(about: record.status))"
    }

    /// The state and what explains it, on one line: "loading, 43 %", "failed: out of GPU memory".
    static func sentence(about status: InstanceStatus) -> String {
        var text = status.state.rawValue
        if let percent = status.progressPercent { text += ", \(percent) %" }
        switch status.state {
        case .failed, .backoff, .unhealthy, .misconfigured, .quarantined, .connecting:
            // Clients read this, too: where evidence lies on this machine is not theirs to know.
            let reason = status.reason.split(separator: Lifecycle.evidenceMark, maxSplits: 1).first ?? ""
            if !reason.isEmpty { text += ": \(reason)" }
        case .stopped, .starting, .loading, .warming, .ready, .draining, .stopping: break
        }
        return String(text.map { $0.isNewline ? " " : $0 })
    }
}
