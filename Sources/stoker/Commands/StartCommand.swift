import ArgumentParser
import Supervisor

/// `stoker start`
struct StartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Starts an instance, or all of a provider; a failed one gets fresh budgets.")

    @OptionGroup var target: ActionOptions

    func run() throws { try target.perform(.start) }
}
