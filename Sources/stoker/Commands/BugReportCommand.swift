import ArgumentParser
import Fleet
import Supervisor

/// `stoker bug-report`
struct BugReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bug-report",
        abstract: "Gathers what somebody else needs to find a fault: versions, configuration, states, logs.",
        discussion: """
            Secrets of the configuration are left out, wherever they stand. Logs of engines may quote prompts: read the \
            report before you pass it on, or leave them out with --no-logs. Works without a daemon, with less to say.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(inversion: .prefixedNo, help: "The last lines of every instance's output, of this and of the run before.")
    var logs = true

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("How many lines of each.", valueName: "count"))
    var lines = 200

    @OptionGroup var options: DaemonOptions

    func validate() throws {
        if lines < 0 { throw ValidationError("--lines is a number from 0 on.") }
    }

    func run() throws {
        let source = ConfigurationSource(option: config, environment: Environment.current)
        let loaded = source.load()
        let report = BugReport(
            machine: BugReport.Machine.present, loaded: loaded,
            preflight: loaded.configuration.map {
                Preflight(
                    configuration: $0, environment: source.environment, directories: source.directories,
                    file: loaded.file, keyFiles: loaded.keyFiles
                ).run()
            })
        var text = report.text
        do {
            let daemon = options.daemon
            let body = try daemon.ask("GET", "/api/v1/status").body
            text += BugReport.section("status", String(decoding: body, as: UTF8.self))
            for provider in try daemon.decode(StatusReport.self, body).providers where logs {
                for instance in provider.instances where provider.kind == .launched {
                    text += output(of: instance.id, "current", daemon) + output(of: instance.id, "previous", daemon)
                }
            }
        } catch let failure as CommandFailure {
            text += BugReport.section("status", failure.message)
        }
        Terminal.write(Array((loaded.configuration?.redacting(text) ?? text).utf8))
    }

    /// The section with an instance's output; none where there is no such run.
    private func output(of name: String, _ run: String, _ daemon: DaemonConnection) -> String {
        let target = "/api/v1/instances/\(URLComponent.escaped(name))/logs?lines=\(lines)"
        guard
            let answer = try? daemon.ask(
                "GET", target + (run == "previous" ? "&run=previous" : ""), silence: .seconds(30))
        else { return "" }
        return BugReport.section("output of \(name), \(run) run", String(decoding: answer.body, as: UTF8.self))
    }
}
