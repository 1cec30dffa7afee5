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

    @OptionGroup var daemon: DaemonOptions

    /// Gives the command, shows what happens until it is done, and says so.
    func perform(_ command: OperatorCommand) throws {
        let connection = daemon.daemon
        let target = "/api/v1/instances/\(URLComponent.escaped(name))/\(command.rawValue)"
        if noWait {
            _ = try connection.ask("POST", target + "?wait=0")
            Terminal.print("\(name): \(command.rawValue) asked for")
            return
        }
        Interrupt.saysThatItGoesOn()
        let progress = ProgressDisplay(name: name)
        let follower = connection
        DispatchQueue.global().async {
            try? follower.follow { report in progress.show(report) }
        }
        defer { progress.end() }
        // As long as it takes: the daemon bounds it, and loading a model may take half an hour.
        _ = try connection.ask("POST", target, silence: nil)
        progress.end()
        Terminal.print("\(name): \(Self.past(command))")
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
