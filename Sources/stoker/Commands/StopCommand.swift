import ArgumentParser
import Supervisor

/// `stoker stop`
struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Drains an instance, ends it, and keeps it stopped.")

    @OptionGroup var target: ActionOptions

    func run() throws { try target.perform(.stop) }
}
