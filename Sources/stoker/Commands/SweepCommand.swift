import ArgumentParser
import Supervisor

/// `stoker sweep`
struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Ends what a stop left behind.",
        discussion: "For ExecStopPost= in the unit: after a crash, engines that a new daemon adopts are left alone.")

    func run() throws {
        // Sweep: `throw ExitCode(Sweep.run())` belongs here.
        throw CommandFailure(status: .failed, message: "this build cannot sweep")
    }
}
