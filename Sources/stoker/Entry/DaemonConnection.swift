import Fleet
import FoundationEssentials
import Supervisor

/// A daemon as the commands see it: requests to its admin socket, and errors as exit codes with a sentence.
struct DaemonConnection: Sendable {
    /// Its admin socket.
    let socketPath: String
    private let client: AdminClient

    /// A daemon at a socket; nothing is connected yet.
    init(socketPath: String) {
        self.socketPath = socketPath
        client = AdminClient(.unix(path: socketPath))
    }

    /// The present status.
    func status() throws -> StatusReport {
        try decode(StatusReport.self, try ask("GET", "/api/v1/status").body)
    }

    /// Asks, and turns every answer that is an error into a ``CommandFailure``.
    func ask(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = [],
        silence: Duration? = .seconds(10)
    ) throws -> AdminClient.Answer {
        let answer = try raw(method, target, headers: headers, body: body, silence: silence)
        guard answer.status >= 400 else { return answer }
        throw failure(of: answer)
    }

    /// Asks and returns whatever the status is.
    func raw(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = [],
        silence: Duration? = .seconds(10)
    ) throws -> AdminClient.Answer {
        do {
            return try client.ask(method, target, headers: headers, body: body, silence: silence)
        } catch {
            throw commandFailure(error)
        }
    }

    /// Reports as they come, until `take` answers false; throws when the connection is lost.
    func follow(_ take: (StatusReport) -> Bool) throws {
        var reader = EventReader()
        do {
            try client.stream("GET", "/api/v1/events", silence: .seconds(15)) { status, _, part in
                guard status == 200 else { return false }
                for event in reader.append(part) {
                    guard let report = try? JSONDecoder().decode(StatusReport.self, from: Data(event)) else { continue }
                    if !take(report) { return false }
                }
                return true
            }
        } catch {
            throw commandFailure(error)
        }
    }

    /// An answer's error as an exit code and its sentence; `refused` is what an error comes to that is no missing name.
    func failure(of answer: AdminClient.Answer, refused: ExitStatus = .failed) -> CommandFailure {
        struct Envelope: Decodable {
            struct Detail: Decodable {
                var message: String
                var code: String
            }
            var error: Detail
        }
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: Data(answer.body)) else {
            return CommandFailure(status: .failed, message: "the daemon answered with HTTP \(answer.status)")
        }
        let isMissing = envelope.error.code == "no_such_instance"
        return CommandFailure(status: isMissing ? .noSuchInstance : refused, message: envelope.error.message)
    }

    /// A body as a value.
    func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw CommandFailure(
                status: .failed,
                message: "the daemon's answer is not understood: 'stoker version' and the daemon's version may differ")
        }
    }

    private func commandFailure(_ failure: AdminClient.Failure) -> CommandFailure {
        switch failure {
        case .unreachable(let reason):
            return CommandFailure(
                status: .noDaemon,
                message: "no daemon answers on \(socketPath) (\(reason)): start one ('stoker run', or 'systemctl start "
                    + "stoker'), or name another's socket with --socket")
        case .denied:
            return CommandFailure(
                status: .noDaemon,
                message: "\(socketPath) is not yours to use: be root, the daemon's user, or in group stoker")
        case .lost:
            return CommandFailure(status: .noDaemon, message: "the daemon closed the connection: it may be stopping")
        case .timedOut:
            return CommandFailure(
                status: .noDaemon,
                message: "the daemon is there and does not answer: its log tells why ('journalctl -u stoker')")
        }
    }
}
