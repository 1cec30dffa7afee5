import CLinux
import Fleet
import FoundationEssentials
import Glibc
import Logging

/// Ends what a stop left behind: `stoker sweep`, which the unit runs in `ExecStopPost=`.
///
/// After a crash of the supervisor it does nothing: engines and gateway live on, and a successor takes them over. It acts
/// only where a stop was meant: systemd says so (`$SERVICE_RESULT=success`), or the supervisor had written its mark before
/// it began to stop, which also covers a stop that ran out of time (`$SERVICE_RESULT=timeout`).
public struct Sweep: Sendable {
    private let environment: [String: String]
    private let directories: Directories
    private let logger: Logger

    /// A sweep of the directories that this environment names.
    public init(environment: [String: String]) {
        self.environment = environment
        directories = Directories(environment: environment, isRoot: geteuid() == 0)
        let destination = DaemonLog.destination(environment: environment)
        logger = Logger(label: "stoker", factory: { DaemonLog.handler(destination, label: $0) })
    }

    /// What a sweep came to.
    public enum Outcome: Sendable, Hashable {
        /// Nothing of ours is left.
        case swept
        /// It was not for us to end anything; the sentence says why.
        case left(String)
        /// Something does not end, or a daemon runs; the sentences say what.
        case failed([String])
    }

    /// Sweeps.
    ///
    /// - Parameter everything: Also after a crash, when nobody is to take anything over.
    public func run(everything: Bool) async -> Outcome {
        guard everything || environment["SERVICE_RESULT"] == "success" || StopMark(directories).isSet else {
            return .left(
                "no stop was meant: what runs is left for the next 'stoker run' ('stoker sweep --all' ends it)")
        }
        guard StateDirectory.isFree(directories) else {
            return .failed(["a daemon runs with \(directories.runtime): stop it instead"])
        }
        let setup = EngineSpawner.Setup(
            directories: directories, executable: "", environment: environment,
            trees: ProcessTrees.detect(runtime: directories.runtime), logger: logger)
        var problems = await EngineSpawner(setup).sweep(keeping: [])
        if let problem = endGateway() { problems.append(problem) }
        guard problems.isEmpty else { return .failed(problems) }
        StopMark(directories).clear()
        return .swept
    }

    private func endGateway() -> String? {
        var problem: String?
        for record in GatewayPredecessor.find(StateFile("gateway.json", in: directories))?.all ?? [] {
            let pidfd = stoker_pidfd_open(record.pid)
            guard pidfd >= 0 else { continue }
            defer { close(pidfd) }
            stoker_pidfd_send_signal(pidfd, SIGKILL)
            var poller = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            if poll(&poller, 1, 5000) != 1 { problem = "the gateway (pid \(record.pid)) does not end" }
        }
        return problem
    }
}

/// The mark that a stop was meant: written before it begins, so that whoever comes after an unfinished stop finishes it.
struct StopMark: Sendable {
    private let file: StateFile

    init(_ directories: Directories) { file = StateFile("stopping", in: directories) }

    /// Whether a stop was begun and not finished.
    var isSet: Bool { file.read() != nil }

    /// Writes it; a disk that cannot take it is no reason not to stop.
    func set() { file.write(Array("stopping\n".utf8)) }

    /// Removes it.
    func clear() { file.remove() }
}
