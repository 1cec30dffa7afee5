import ArgumentParser
import Supervisor

/// `stoker detach`
struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Forgets a server that 'stoker attach' added; the server itself goes on.")

    @Argument(help: "Its name here.")
    var name: String

    @OptionGroup var json: JSONOption

    @OptionGroup var options: DaemonOptions

    func run() throws {
        _ = try options.daemon.ask("DELETE", "/api/v1/instances/\(URLComponent.escaped(name))", silence: .seconds(60))
        if json.isWanted { return Terminal.write(JSONLine.of(AttachOutcome(name: name, attached: false))) }
        Terminal.print("\(name): detached")
    }
}
