import ArgumentParser
import Dispatch
import Fleet
import Glibc
import Supervisor

/// `stoker reload`
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Applies the configuration file anew; what did not change is not touched.",
        discussion: """
            Prints the plan, applies it and waits for the outcome. A wrong file changes nothing and exits with 2. A new \
            program at the daemon's path is rehearsed first and takes over in place; where it cannot, the old one goes on, \
            and this exits with 1.
            """)

    @Flag(help: "Only print what would change.")
    var plan = false

    @OptionGroup var json: JSONOption

    @OptionGroup var options: DaemonOptions

    /// What `--json` prints.
    private struct Outcome: Encodable {
        var plan: ReloadReport
        /// Whether it was applied: false for a plan.
        var applied: Bool
        var detail: String?
    }

    func run() throws {
        let daemon = options.daemon
        let answer = try daemon.raw("POST", "/api/v1/reload?plan=1", silence: .seconds(60))
        // What keeps a plan from being made is the configuration, or (422) a new program.
        guard answer.status < 400 else {
            // The reload itself is refused likewise, and then 'stoker status' says so too.
            let real = plan ? answer : try daemon.raw("POST", "/api/v1/reload", silence: nil)
            guard real.status >= 400 else { return say(try daemon.decode(ReloadReport.self, real.body), nil) }
            throw daemon.failure(of: real, refused: real.status == 422 ? .failed : .usage)
        }
        let planned = try daemon.decode(ReloadReport.self, answer.body)
        if !json.isWanted { for line in Self.lines(planned) { Terminal.print(line) } }
        if plan { return json.isWanted ? Terminal.write(JSONLine.of(Outcome(plan: planned, applied: false))) : () }
        var number = (try daemon.status().lastReload?.number ?? 0) + 1
        Interrupt.saysThatItGoesOn()
        let progress = ProgressDisplay(names: planned.added + planned.changed)
        if Terminal.isInteractive, !json.isWanted {
            DispatchQueue.global().async { try? daemon.follow { progress.show($0) } }
        }
        defer { progress.end() }
        do {
            let answer = try daemon.raw("POST", "/api/v1/reload", silence: nil)
            if answer.status >= 400 {
                throw daemon.failure(of: answer, refused: answer.status == 409 ? .usage : .failed)
            }
            let report = try daemon.decode(ReloadReport.self, answer.body)
            number = report.number ?? number
            progress.end()
            if report.successor == nil { return say(planned, nil) }
        } catch let failure as CommandFailure where failure.status == .noDaemon {
            // It may have become another program before it could answer.
        }
        let detail = try wait(for: number, daemon)
        progress.end()
        say(planned, detail)
    }

    private func say(_ planned: ReloadReport, _ detail: String?) {
        guard json.isWanted else { return Terminal.print("reloaded" + (detail.map { ": \($0)" } ?? "")) }
        Terminal.write(JSONLine.of(Outcome(plan: planned, applied: true, detail: detail)))
    }

    /// The daemon becomes another program: that one answers on the same socket and tells how the reload went.
    private func wait(for number: Int, _ daemon: DaemonConnection) throws -> String {
        var heard = Instant.now()
        while Instant.now() - heard < .seconds(60) {
            usleep(50_000)
            guard let report = try? daemon.status() else { continue }
            heard = .now()
            guard let reload = report.lastReload else {
                throw CommandFailure(
                    status: .failed,
                    message: "the daemon was started anew while it reloaded, by the configuration as it is now: "
                        + "'stoker status' shows what became of it")
            }
            guard reload.number >= number, reload.outcome != .running else { continue }
            guard reload.number > number || reload.outcome == .applied else {
                throw CommandFailure(status: .failed, message: reload.detail)
            }
            return reload.detail
        }
        throw CommandFailure(
            status: .failed,
            message: "the daemon went away during the reload and none came back within 60 s: its log "
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
        for name in report.changed {
            lines.append("~ \(name) (changed)")
            lines += (report.reasons?[name] ?? []).map { "    \($0)" }
        }
        for name in report.adjusted ?? [] {
            lines.append("= \(name) (its server goes on by other rules)")
            lines += (report.reasons?[name] ?? []).map { "    \($0)" }
        }
        add("*", "has failed, is started again", report.retried ?? [])
        if lines.isEmpty { lines.append("no instance changes") }
        if let version = report.successor { lines.insert("a new program takes over: version \(version)", at: 0) }
        if !report.untouched.isEmpty { lines.append("untouched: \(report.untouched.joined(separator: ", "))") }
        for setting in report.newGateway ?? [] {
            lines.append("note: \(setting) changes with another gateway process; streams go on")
        }
        for setting in report.needsRestart {
            lines.append("note: \(setting) changes only when the daemon is restarted")
        }
        return lines
    }
}
