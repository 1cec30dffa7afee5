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
        var lines = wrapped("stoker \(report.version), \(report.mode), up \(WallClock.span(report.uptimeSeconds))")
        lines += headed(
            report.ready ? "ready" : "not ready", report.ready ? Self.green : Self.red, ": \(report.readyReason)")
        lines += gatewayLines
        if let reload = report.lastReload, reload.outcome == .refused || reload.outcome == .failed {
            let what = reload.outcome == .refused ? "was refused, what runs goes on" : "could not be applied whole"
            lines += headed("note", Self.yellow, ": the reload of \(reload.at) \(what): \(reload.detail)")
        }
        for notice in report.notices { lines += headed("note", Self.yellow, ": \(notice)") }
        lines.append("")
        let instances = report.providers.flatMap { provider in provider.instances.map { (provider, $0) } }
        guard !instances.isEmpty else {
            lines += wrapped("No instances: name a model or a base_url under providers: in the configuration, or run")
            lines += wrapped("'stoker attach NAME URL'.")
            return lines.joined(separator: "\n")
        }
        var table = TextTable(
            heads: ["INSTANCE", "KIND", "STATE", "FOR", "IN FLIGHT", "RESTARTS", "MODELS", "REASON"],
            flexible: [7, 6, 0],
            // Kind, restarts, in flight, models, reason, since when.
            optional: [1, 5, 4, 6, 7, 3])
        for (provider, instance) in instances {
            table.rows.append(row(instance, provider.kind))
            table.rows += instance.otherRuns.map(row)
        }
        lines += table.lines(width: width)
        for (_, instance) in instances where instance.state != .ready {
            if let failure = instance.lastFailure { lines += describe(failure, of: instance.id) }
        }
        return lines.joined(separator: "\n")
    }

    private var gatewayLines: [String] {
        let gateway = report.gateway
        let rest =
            " on \(gateway.listen.joined(separator: ", ")), \(gateway.inflight) in flight, "
            + "\(gateway.requestsTotal) requests, \(gateway.restarts) restarts"
        guard let pid = gateway.pid else { return headed("gateway: being started again", Self.yellow, rest) }
        return wrapped("gateway: pid \(pid)\(rest)")
    }

    /// A line whose first words are coloured, broken where it does not fit.
    private func headed(_ head: String, _ colour: String, _ rest: String) -> [String] {
        var lines = wrapped(head + rest)
        if let first = lines.first, first.hasPrefix(head) {
            lines[0] = paint(head, colour) + first.dropFirst(head.count)
        }
        return lines
    }

    private func wrapped(_ text: String) -> [String] { TextTable.wrapped(TextTable.Cell(text).text, width: width) }

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

    /// Another run of the instance above, while one replaces the other.
    private func row(_ other: OtherRun) -> [TextTable.Cell] {
        var state = other.state.rawValue
        if let percent = other.progressPercent, other.state == .loading { state += " \(percent) %" }
        let age = WallClock.seconds(of: other.since).map { WallClock.span(now - $0) } ?? "?"
        return [
            .init("  run \(other.run)"), .init(""),
            .init(state, colour: hasColour ? Self.colour(of: other.state) : ""), .init(age),
            .init(String(other.inflight)), .init(""), .init(""), .init(other.reason),
        ]
    }

    private func describe(_ failure: InstanceStatus.Failure, of instance: String) -> [String] {
        var lines = [""] + wrapped("\(instance): last failure \(failure.at): \(failure.detail)")
        if hasColour { lines[1] = lines[1].replacing("last failure", with: paint("last failure", Self.red)) }
        lines += failure.logTail.suffix(8).flatMap { wrapped("    \($0)") }
        if let hint = failure.hint { lines += wrapped("  what to do: \(hint)") }
        return lines
    }

    private static let green = Terminal.Colour.green.rawValue
    private static let yellow = Terminal.Colour.yellow.rawValue
    private static let red = Terminal.Colour.red.rawValue

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
