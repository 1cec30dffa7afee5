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

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The configuration file, which may name the token's.", valueName: "file"),
        completion: .file())
    var config: String?

    func run() throws {
        let configured = stateDirectory == nil && tokenFile == nil ? configuredFile : nil
        let path = tokenFile ?? AdminToken.path(configured: configured, stateDirectory: stateDirectory ?? Self.state)
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

    /// `admin.token_file`, or the credential of that name, as the daemon would find it.
    private var configuredFile: String? {
        ConfigurationSource(option: config, environment: Environment.current).load().configuration?.admin.tokenFile
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
