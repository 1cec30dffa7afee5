import ArgumentParser
import Supervisor

/// `stoker drain`
struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Takes an instance out of the rotation; its process stays, what is in flight may finish.")

    @OptionGroup var target: ActionOptions

    func run() throws { try target.perform(.drain) }
}
