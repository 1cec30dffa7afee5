import ArgumentParser
import Fleet
import Supervisor

/// `stoker run`
struct RunCommand: AsyncParsableCommand, Sendable {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs the daemon.",
        discussion: """
            Without --config: STOKER_CONFIG's file, else /etc/stoker/stoker.yaml if it is there, else the environment \
            alone (VLLM_BASE_URL, STOKER_LISTEN and so on). SIGTERM drains and stops everything, SIGHUP reloads.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file())
    var config: String?

    func run() async throws {
        let options = Daemon.Options(
            configurationPath: config, environment: Environment.current,
            executable: ExecutableFile(startedAs: CommandLine.arguments.first), arguments: CommandLine.arguments,
            version: BuildInfo.version)
        throw ExitCode(await Daemon.run(options))
    }
}
