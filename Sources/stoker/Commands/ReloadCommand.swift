import ArgumentParser
import Fleet
import Glibc
import Supervisor

/// `stoker reload`
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Applies the configuration file anew; what did not change is not touched.",
        discussion: """
            Prints the plan, applies it and waits for the outcome. A wrong file changes nothing and exits with 2.
            """)

    @Flag(help: "Only print what would change.")
    var plan = false

    @OptionGroup var options: DaemonOptions

    func run() throws {
        let daemon = options.daemon
        let answer = try daemon.raw("POST", "/api/v1/reload?plan=1", silence: .seconds(60))
        // What keeps a plan from being made is the configuration.
        if answer.status >= 400 { throw daemon.failure(of: answer, refused: .usage) }
        let planned = try daemon.decode(ReloadReport.self, answer.body)
        for line in Self.lines(planned) { Terminal.print(line) }
        if plan { return }
        let before = try daemon.status()
        Interrupt.saysThatItGoesOn()
        do {
            _ = try daemon.ask("POST", "/api/v1/reload", silence: nil)
        } catch let failure as CommandFailure where failure.status == .noDaemon {
            try waitForSuccessor(of: before, daemon)
        }
        Terminal.print("reloaded")
    }

    /// A daemon that executes a new binary in place closes this connection: its successor answers on the same socket.
    private func waitForSuccessor(of before: StatusReport, _ daemon: DaemonConnection) throws {
        let deadline = Instant.now() + .seconds(30)
        while Instant.now() < deadline {
            if let report = try? daemon.status(), report.uptimeSeconds < before.uptimeSeconds {
                Terminal.print("a new daemon took over, version \(report.version)")
                return
            }
            usleep(200_000)
        }
        throw CommandFailure(
            status: .failed,
            message: "the daemon went away during the reload and none came back within 30 s: its log "
                + "tells why ('journalctl -u stoker')")
    }

    /// A plan as a person reads it.
    static func lines(_ report: ReloadReport) -> [String] {
        var lines: [String] = []
        func add(_ sign: String, _ word: String, _ names: [String]) {
            lines += names.map { "\(sign) \($0) (\(word))" }
        }
        add("+", "added", report.added)
        add("-", "removed", report.removed)
        add("~", "changed", report.changed)
        if lines.isEmpty { lines.append("no instance changes") }
        if !report.untouched.isEmpty { lines.append("untouched: \(report.untouched.joined(separator: ", "))") }
        for setting in report.needsRestart {
            lines.append("note: \(setting) changes only when the daemon is restarted")
        }
        return lines
    }
}
