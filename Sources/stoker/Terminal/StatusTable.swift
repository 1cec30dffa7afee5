import Fleet

/// `stoker status` as text: pure, from a report.
struct StatusTable {
    /// What is shown.
    var report: StatusReport
    /// Seconds since 1970.
    var now: Double
    /// Columns of the terminal; nil for no limit.
    var width: Int?
    /// Whether states are coloured.
    var hasColour: Bool

    /// The whole text, without a line break at its end.
    func render() -> String {
        var lines = [
            "stoker \(report.version), \(report.mode), up \(WallClock.span(report.uptimeSeconds))",
            paint(report.ready ? "ready" : "not ready", report.ready ? Self.green : Self.red)
                + ": \(report.readyReason)",
            gatewayLine,
        ]
        for notice in report.notices { lines.append(paint("note", Self.yellow) + ": \(notice)") }
        lines.append("")
        let instances = report.providers.flatMap { provider in provider.instances.map { (provider, $0) } }
        guard !instances.isEmpty else {
            lines.append("No instances: name a model or a base_url under providers: in the configuration, or run")
            lines.append("'stoker attach NAME URL'.")
            return lines.joined(separator: "\n")
        }
        var table = TextTable(
            heads: ["INSTANCE", "KIND", "STATE", "FOR", "IN FLIGHT", "RESTARTS", "MODELS", "REASON"], flexible: [7, 6])
        for (provider, instance) in instances { table.rows.append(row(instance, provider.kind)) }
        lines += table.lines(width: width)
        for (_, instance) in instances where instance.state != .ready {
            if let failure = instance.lastFailure { lines += describe(failure, of: instance.id) }
        }
        return lines.joined(separator: "\n")
    }

    private var gatewayLine: String {
        let gateway = report.gateway
        let process = gateway.pid.map { "pid \($0)" } ?? paint("being started again", Self.yellow)
        return "gateway: \(process) on \(gateway.listen.joined(separator: ", ")), \(gateway.inflight) in flight, "
            + "\(gateway.requestsTotal) requests, \(gateway.restarts) restarts"
    }

    private func row(_ instance: InstanceStatus, _ kind: ProviderKind) -> [TextTable.Cell] {
        var state = instance.state.rawValue
        if let percent = instance.progressPercent, instance.state == .loading { state += " \(percent) %" }
        let age = WallClock.seconds(of: instance.since).map { WallClock.span(now - $0) } ?? "?"
        return [
            .init(instance.id), .init(kind.rawValue),
            .init(state, colour: hasColour ? Self.colour(of: instance.state) : ""), .init(age),
            .init(String(instance.inflight)), .init(kind == .launched ? String(instance.restarts) : "-"),
            .init(instance.models.isEmpty ? "-" : instance.models.joined(separator: ", ")), .init(instance.reason),
        ]
    }

    private func describe(_ failure: InstanceStatus.Failure, of instance: String) -> [String] {
        var lines = ["", "\(instance): \(paint("last failure", Self.red)) \(failure.at): \(failure.detail)"]
        lines += failure.logTail.suffix(8).map { "    \(TextTable.Cell($0).text)" }
        if let hint = failure.hint { lines.append("  what to do: \(hint)") }
        return lines
    }

    private static let green = "\u{1b}[32m"
    private static let yellow = "\u{1b}[33m"
    private static let red = "\u{1b}[31m"

    private func paint(_ text: String, _ colour: String) -> String { hasColour ? "\(colour)\(text)\u{1b}[0m" : text }

    private static func colour(of state: InstanceState) -> String {
        switch state {
        case .ready: return green
        case .starting, .loading, .warming, .draining, .stopping, .connecting: return yellow
        case .unhealthy, .backoff, .failed, .quarantined, .misconfigured: return red
        case .stopped: return ""
        }
    }
}
