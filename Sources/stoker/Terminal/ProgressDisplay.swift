import Fleet
import Synchronization

/// Shows what a command's instances are doing while it is waited for: one line that is rewritten on a terminal, a line for
/// each change elsewhere.
final class ProgressDisplay: Sendable {
    private struct State {
        var shown = ""
        var hasEnded = false
    }

    private let names: Set<String>
    private let isInteractive = Terminal.isInteractive
    private let state = Mutex(State())

    /// A display for an instance or a provider.
    convenience init(name: String) { self.init(names: [name]) }

    /// A display for several.
    init(names: [String]) { self.names = Set(names) }

    /// Shows a report; false when there is nothing to show any more.
    func show(_ report: StatusReport) -> Bool {
        let line = Self.line(of: names, in: report, withPercent: isInteractive)
        return state.withLock { state in
            guard !state.hasEnded else { return false }
            guard let line, line != state.shown else { return true }
            state.shown = line
            if isInteractive {
                let fitting = line.prefix(max(1, (Terminal.size?.columns ?? 80) - 1))
                Terminal.write(Array("\r\(fitting)\u{1b}[K".utf8))
            } else {
                Terminal.print(line)
            }
            return true
        }
    }

    /// Leaves the line.
    func end() {
        state.withLock { state in
            if isInteractive, !state.hasEnded, !state.shown.isEmpty { Terminal.write(Array("\r\u{1b}[K".utf8)) }
            state.hasEnded = true
        }
    }

    /// What the instances of names do; nil when they have none.
    static func line(of names: Set<String>, in report: StatusReport, withPercent: Bool) -> String? {
        let instances = report.providers.flatMap { provider in
            provider.instances.filter { names.contains($0.id) || names.contains(provider.name) }
        }
        guard !instances.isEmpty else { return nil }
        let parts = instances.map { instance in
            var text = "\(instance.id) \(instance.state.rawValue)"
            if withPercent, instance.state == .loading, let percent = instance.progressPercent {
                text += " \(percent) %"
            }
            if withPercent, let phase = instance.phase { text += " (\(phase))" }
            return text
        }
        return parts.joined(separator: ", ")
    }
}
