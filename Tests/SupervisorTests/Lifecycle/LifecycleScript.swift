import Fleet
import Health

@testable import Supervisor

/// A launched instance in virtual time, driven by a script of events; what it says is kept for the test to look at.
struct LifecycleScript {
    var machine: Lifecycle
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// Everything that was said since the last ``take()``.
    var said: [Lifecycle.Action] = []
    static let models = [ModelCard(id: "org/m")]

    init(_ change: (inout RestartConfiguration, inout LaunchTimeouts) -> Void = { _, _ in }, lastRun: UInt64 = 0) {
        var restart = RestartConfiguration()
        var timeouts = LaunchTimeouts()
        change(&restart, &timeouts)
        machine = Lifecycle(
            instance: "chat-0", restart: restart, timeouts: timeouts, lastRun: lastRun, seed: 7, at: now)
    }

    var state: InstanceState { machine.state }
    var run: UInt64 { machine.run }

    mutating func feed(_ event: Lifecycle.Event) { said += machine.handle(event, at: now) }

    mutating func take() -> [Lifecycle.Action] {
        defer { said = [] }
        return said
    }

    mutating func pass(_ duration: Duration) {
        let end = now + duration
        while let wake = machine.nextWake, wake <= end {
            now = max(now, wake)
            feed(.tick)
        }
        now = end
    }

    mutating func begin() { feed(.begin(wanted: true)) }

    mutating func load() {
        begin()
        feed(.launched(run, pid: 100))
    }

    mutating func becomeReady() {
        if state == .stopped { begin() }
        feed(.nothingToAdopt(run))
        feed(.launched(run, pid: 100))
        feed(.health(run, .listening(Self.models)))
        feed(.health(run, .warm(Self.models)))
        feed(.confirmed(run))
    }

    mutating func clean(_ postmortem: Postmortem = Postmortem()) { feed(.cleaned(run, postmortem)) }

    mutating func crash() {
        feed(.exited(run, .code(0)))
        clean()
    }
}
