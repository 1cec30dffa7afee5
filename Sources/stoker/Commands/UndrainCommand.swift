import ArgumentParser
import Supervisor

/// `stoker undrain`
struct UndrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undrain",
        abstract: "Puts a drained instance back into the rotation.")

    @OptionGroup var target: ActionOptions

    func run() throws { try target.perform(.undrain) }
}
