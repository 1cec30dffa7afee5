import CLinux
import Glibc
import Synchronization

/// What tests may look at afterwards: the last requests, and what became of connections and streams.
final class Observations: Sendable {
    private struct State {
        var requests: [JSON] = []
        var connectionsAccepted = 0
        var connectionsOpen = 0
        var requestsSeen = 0
        var inferences = 0
        var inferencesDone = 0
        var inferencesOpen = 0
        var streamsOpen = 0
        var streamsMost = 0
        var aborts: [JSON] = []
        var abortsSeen = 0
        var bytesReceived = 0
        var handled: [String: Int] = [:]
    }

    private static let kept = 200
    private static let bodyKept = 1 << 20

    let startedAt = monotonic()
    private let state = Mutex(State())

    func connectionOpened() {
        state.withLock {
            $0.connectionsAccepted += 1
            $0.connectionsOpen += 1
        }
    }

    func connectionClosed() { state.withLock { $0.connectionsOpen -= 1 } }

    func received(_ request: HTTPRequest) {
        let entry: JSON = [
            "at": .number(monotonic()),
            "method": .string(request.method),
            "target": .string(request.target),
            "version": .string(request.version),
            "headers": .array(request.headers.map { .array([.string($0.name), .string($0.value)]) }),
            "body": .string(base64(request.body.prefix(Self.bodyKept))),
            "body_bytes": .integer(request.body.count),
            "chunked": .bool(request.chunked),
        ]
        state.withLock { state in
            state.requestsSeen += 1
            state.bytesReceived += request.body.count
            state.requests.append(entry)
            if state.requests.count > Self.kept { state.requests.removeFirst() }
        }
    }

    func answered(_ request: HTTPRequest, route: String, status: Int) {
        let key = "\(route) \(request.method) \(status / 100)xx"
        state.withLock { $0.handled[key, default: 0] += 1 }
    }

    func inferenceBegan() {
        state.withLock {
            $0.inferences += 1
            $0.inferencesOpen += 1
        }
    }

    /// How many inference requests are done now, this one included.
    func inferenceEnded() -> Int {
        state.withLock {
            $0.inferencesOpen -= 1
            $0.inferencesDone += 1
            return $0.inferencesDone
        }
    }

    var inferencesOpen: Int { state.withLock { $0.inferencesOpen } }

    func streamOpened() {
        state.withLock {
            $0.streamsOpen += 1
            $0.streamsMost = max($0.streamsMost, $0.streamsOpen)
        }
    }

    func streamClosed() { state.withLock { $0.streamsOpen -= 1 } }

    func clientAborted(_ request: HTTPRequest, tokens: Int) {
        let entry: JSON = [
            "at": .number(monotonic()), "target": .string(request.target), "tokens": .integer(tokens),
            "request_id": .string(request["x-request-id"] ?? ""),
        ]
        state.withLock { state in
            state.abortsSeen += 1
            state.aborts.append(entry)
            if state.aborts.count > Self.kept { state.aborts.removeFirst() }
        }
    }

    /// Requests by route, method and class of status, for the http_ series.
    var handled: [String: Int] { state.withLock { $0.handled } }

    var requests: JSON { state.withLock { ["requests": .array($0.requests)] } }

    func stats(_ counters: EngineLink.Counters, enginePID: pid_t) -> JSON {
        state.withLock { state in
            [
                "now": .number(monotonic()),
                "uptime_seconds": .number(monotonic() - startedAt),
                "pid": .integer(Int(getpid())),
                "engine_pid": .integer(Int(enginePID)),
                "connections_accepted": .integer(state.connectionsAccepted),
                "connections_open": .integer(state.connectionsOpen),
                "requests": .integer(state.requestsSeen),
                "request_body_bytes": .integer(state.bytesReceived),
                "inferences": .integer(state.inferences),
                "inferences_open": .integer(state.inferencesOpen),
                "streams_open": .integer(state.streamsOpen),
                "streams_most": .integer(state.streamsMost),
                "client_aborts": .integer(state.abortsSeen),
                "aborts": .array(state.aborts),
                "tokens": .integer(Int(counters.tokens)),
                "steps": .integer(Int(counters.steps)),
                "engine_running": .integer(Int(counters.running)),
                "engine_waiting": .integer(Int(counters.waiting)),
            ]
        }
    }
}
