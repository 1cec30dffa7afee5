import ArgumentParser
import Supervisor

/// `stoker probe`
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Exits with 0 when the daemon is alive, or ready: for a container's health check.")

    @Flag(help: "Ready (ready_when is met), not only alive.")
    var ready = false

    @OptionGroup var options: DaemonOptions

    func run() throws {
        let answer = try options.daemon.raw("GET", ready ? "/readyz" : "/healthz", silence: .seconds(5))
        guard answer.status == 200 else {
            struct Body: Decodable {
                var reason: String
            }
            let reason = (try? options.daemon.decode(Body.self, answer.body))?.reason
            throw CommandFailure(status: .failed, message: "not ready" + (reason.map { ": \($0)" } ?? ""))
        }
    }
}
