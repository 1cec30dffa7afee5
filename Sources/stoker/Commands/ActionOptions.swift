import ArgumentParser
import Dispatch
import Fleet
import Glibc
import Supervisor
import Synchronization

/// What `start`, `stop`, `restart`, `drain` and `undrain` share: the name, and the waiting.
struct ActionOptions: ParsableArguments {
    @Argument(help: "An instance, or a provider for all of its instances.")
    var name: String

    @Flag(name: .customLong("no-wait"), help: "Return as soon as the daemon has taken the command.")
    var noWait = false

    @OptionGroup var json: JSONOption

    @OptionGroup var daemon: DaemonOptions

    /// What `--json` prints.
    private struct Outcome: Encodable {
        struct Instance: Encodable {
            var id: String
            var state: InstanceState
            var reason: String
        }
        var name: String
        var command: String
        /// Whether it was waited for.
        var done: Bool
        var instances: [Instance]
    }

    /// Gives the command, shows what happens until it is done, and says so.
    func perform(_ command: OperatorCommand) throws {
        let connection = daemon.daemon
        let target = "/api/v1/instances/\(URLComponent.escaped(name))/\(command.rawValue)"
        if noWait {
            _ = try connection.ask("POST", target + "?wait=0")
            return try say(command, done: false, "\(command.rawValue) asked for", connection)
        }
        Interrupt.saysThatItGoesOn()
        let progress = ProgressDisplay(name: name)
        let follower = connection
        if !json.isWanted {
            DispatchQueue.global().async {
                try? follower.follow { report in progress.show(report) }
            }
        }
        defer { progress.end() }
        // As long as it takes: the daemon bounds it, and loading a model may take half an hour.
        _ = try connection.ask("POST", target, silence: nil)
        progress.end()
        try say(command, done: true, Self.past(command), connection)
    }

    private func say(_ command: OperatorCommand, done: Bool, _ words: String, _ connection: DaemonConnection) throws {
        let instances = try connection.status().providers.flatMap { provider in
            provider.instances.filter { $0.id == name || provider.name == name }
        }
        guard json.isWanted else {
            Terminal.print("\(name): \(words)")
            let isForRouting = done && (command == .start || command == .restart)
            for instance in instances where isForRouting && instance.state == .draining {
                Terminal.print("\(instance.id): still drained; 'stoker undrain \(instance.id)' routes to it again")
            }
            return
        }
        Terminal.write(
            JSONLine.of(
                Outcome(
                    name: name, command: command.rawValue, done: done,
                    instances: instances.map { .init(id: $0.id, state: $0.state, reason: $0.reason) })))
    }

    private static func past(_ command: OperatorCommand) -> String {
        switch command {
        case .start: return "started"
        case .stop: return "stopped"
        case .restart: return "restarted"
        case .drain: return "drained"
        case .undrain: return "back in the rotation"
        }
    }
}
