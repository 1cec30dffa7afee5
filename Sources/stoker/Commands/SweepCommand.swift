import ArgumentParser
import Supervisor

/// `stoker sweep`
struct SweepCommand: AsyncParsableCommand, Sendable {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Ends what a stop left behind.",
        discussion: """
            For ExecStopPost= in the unit. After a crash of the daemon it ends nothing: engines and gateway are left for \
            the next 'stoker run'. --all ends them all the same.
            """)

    @Flag(help: "Also end what a crash of the daemon left running.")
    var all = false

    func run() async throws {
        switch await Sweep(environment: Environment.current).run(everything: all) {
        case .swept: return
        case .left(let reason): Terminal.error(reason)
        case .failed(let problems):
            throw CommandFailure(status: .failed, message: problems.joined(separator: "; "))
        }
    }
}
