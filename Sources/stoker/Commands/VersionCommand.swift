import ArgumentParser
import Fleet

/// `stoker version`
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Prints the version.")

    @OptionGroup var json: JSONOption

    func run() throws {
        guard json.isWanted else { return Terminal.print("stoker \(BuildInfo.version)") }
        Terminal.write(JSONLine.of(["version": BuildInfo.version]))
    }
}
