import ArgumentParser
import Fleet
import Glibc
import Supervisor

/// `stoker status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the state of everything.")

    @Flag(help: "The body of /api/v1/status, as JSON.")
    var json = false

    @Flag(help: "Goes on showing it as it changes, until Ctrl-C.")
    var watch = false

    @OptionGroup var options: DaemonOptions

    func run() throws {
        let daemon = options.daemon
        guard watch else {
            let body = try daemon.ask("GET", "/api/v1/status").body
            if json {
                Terminal.write(body + [10])
            } else {
                show(try daemon.decode(StatusReport.self, body), note: nil)
            }
            return
        }
        // The first answer decides whether there is a daemon at all; later losses are shown and outlived.
        var last = try daemon.status()
        var seen = WallClock.timeOfDay
        if Terminal.isInteractive, !json { Interrupt.restoreCursor() }
        while true {
            do {
                try daemon.follow { report in
                    (last, seen) = (report, WallClock.timeOfDay)
                    show(report, note: nil)
                    return true
                }
            } catch {}
            show(last, note: "connection lost, showing the state of \(seen)")
            sleep(1)
        }
    }

    private func show(_ report: StatusReport, note: String?) {
        if json {
            if note == nil { Terminal.write(JSONLine.of(report)) }
            return
        }
        let size = Terminal.size
        let table = StatusTable(
            report: report, now: WallClock.now, width: Terminal.width, hasColour: Terminal.hasColour)
        var lines = table.render().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let note { lines = TextTable.wrapped(note, width: Terminal.width) + [""] + lines }
        guard watch else {
            Terminal.print(lines.joined(separator: "\n"))
            return
        }
        guard Terminal.isInteractive else {
            if note == nil { Terminal.print(lines.joined(separator: "\n") + "\n") }
            return
        }
        // Home, each line with what was behind it erased, then the rest of the screen: nothing flickers.
        let fitting = lines.prefix(max(1, (size?.lines ?? 1000) - 1))
        Terminal.write(Array(("\u{1b}[H" + fitting.map { $0 + "\u{1b}[K\n" }.joined() + "\u{1b}[J").utf8))
    }
}
