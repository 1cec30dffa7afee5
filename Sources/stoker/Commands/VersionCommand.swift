import ArgumentParser
import Fleet

/// `stoker version`
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Prints the version.")

    func run() throws { Terminal.print("stoker \(BuildInfo.version)") }
}
