import ArgumentParser
import Supervisor

/// `stoker restart`
struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Stops and starts an instance, or all of a provider.")

    @OptionGroup var target: ActionOptions

    func run() throws { try target.perform(.restart) }
}
