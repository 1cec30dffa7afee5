import ArgumentParser
import Fleet
import Glibc
import Supervisor

/// `stoker token`
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Prints the admin token, for root and the daemon's user.",
        discussion: "It opens the dashboard's actions and logs, and everything on an address that is not loopback.")

    @Option(
        name: .customLong("token-file"),
        help: ArgumentHelp("The file in admin.token_file, where the configuration names one.", valueName: "file"),
        completion: .file())
    var tokenFile: String?

    @Option(
        name: .customLong("state-dir"),
        help: ArgumentHelp("The daemon's state directory, which admin.token is in.", valueName: "path"),
        completion: .directory)
    var stateDirectory: String?

    func run() throws {
        let path = tokenFile ?? AdminToken.path(configured: nil, stateDirectory: stateDirectory ?? Self.state)
        guard access(path, F_OK) == 0 || errno == EACCES else {
            throw CommandFailure(
                status: .failed,
                message:
                    "there is no token at \(path): the daemon makes it at its first start; where the configuration "
                    + "names another, give it with --token-file, and another state directory with --state-dir")
        }
        do {
            Terminal.print(try AdminToken.read(path).secret.reveal())
        } catch {
            throw CommandFailure(status: .failed, message: "\(error)")
        }
    }

    /// The state directory as the daemon finds it: this user's own, else the system's.
    private static var state: String {
        let environment = Environment.current
        let own = Directories(environment: environment, isRoot: geteuid() == 0).state
        let system = Directories(environment: [:], isRoot: true).state
        if environment["STATE_DIRECTORY"] == nil, access("\(own)/admin.token", F_OK) != 0, access(system, F_OK) == 0 {
            return system
        }
        return own
    }
}
