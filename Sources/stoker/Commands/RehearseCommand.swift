import ArgumentParser
import Fleet
import Supervisor

/// `stoker rehearse`: hidden, run by a daemon from the file that is to take its place.
struct RehearseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: Rehearsal.word,
        abstract: "Says whether this program could take over from the running daemon; changes nothing.",
        shouldDisplay: false)

    @Option(name: .shortAndLong, help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file())
    var config: String?

    func run() throws {
        throw ExitCode(
            Rehearsal.perform(option: config, environment: Environment.current, version: BuildInfo.version))
    }
}
