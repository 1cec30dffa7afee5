import ArgumentParser
import Fleet
import Glibc
import Supervisor

/// `stoker logs`
struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Shows an instance's output.",
        discussion:
            "--follow goes on through restarts: when the instance is started again, the new run's output follows.")

    @Argument(help: "An instance, or a provider that has one instance.")
    var name: String

    @Flag(name: .shortAndLong, help: "Goes on as more is written, until Ctrl-C.")
    var follow = false

    @Flag(help: "The run before this one.")
    var previous = false

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Only the last lines.", valueName: "count"))
    var lines: Int?

    @OptionGroup var options: DaemonOptions

    func validate() throws {
        if let lines, lines < 0 { throw ValidationError("--lines is a number from 0 on.") }
        if follow, previous { throw ValidationError("--previous has ended: there is nothing to --follow.") }
    }

    func run() throws {
        let daemon = options.daemon
        var query: [String] = []
        if previous { query.append("run=previous") }
        if let lines { query.append("lines=\(lines)") } else if follow { query.append("lines=20") }
        let target = "/api/v1/instances/\(URLComponent.escaped(name))/logs"
        let answer = try daemon.ask(
            "GET", target + (query.isEmpty ? "" : "?" + query.joined(separator: "&")), silence: .seconds(30))
        Terminal.write(answer.body)
        guard follow else { return }
        var follower = LogFollower(target: target, first: answer)
        while true {
            if !(try follower.step(ask: { try daemon.raw("GET", $0, headers: $1) }, write: Terminal.write)) {
                usleep(300_000)
            }
        }
    }
}
