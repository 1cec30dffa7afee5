import CLinux
import Glibc
import Synchronization

/// The API server's half: takes connections and answers them, a thread each.
final class Server: Sendable {
    let options: Options
    let controls: ControlFile
    let link: EngineLink
    let observations = Observations()
    let metrics: Metrics
    let store = ResponseStore()

    private struct State {
        var draining = false
        /// When the process is to exit because a request met a dead engine; monotonic.
        var exitAt: Double?
        var exitCode: Int32?
    }

    private let state = Mutex(State())

    init(options: Options, controls: ControlFile, link: EngineLink) {
        self.options = options
        self.controls = controls
        self.link = link
        metrics = Metrics(options: options)
    }

    var draining: Bool { state.withLock { $0.draining } }
    /// An exit that a request has caused: when, and the code.
    var exit: (at: Double, code: Int32)? {
        state.withLock { state in state.exitAt.map { ($0, state.exitCode ?? 0) } }
    }

    func startDraining() { state.withLock { $0.draining = true } }

    func exit(in seconds: Double, code: Int32) {
        state.withLock { state in
            guard state.exitAt == nil else { return }
            state.exitAt = monotonic() + seconds
            state.exitCode = code
        }
    }

    /// Takes connections for ever.
    func accept(on listener: Int32) {
        while true {
            if controls.now.flag("accept_pause") {
                pause(seconds: 0.05)
                continue
            }
            var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 100) > 0 else { continue }
            let descriptor = stoker_accept(listener)
            guard descriptor >= 0 else { continue }
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            startThread { [self] in serve(descriptor) }
        }
    }

    private func serve(_ descriptor: Int32) {
        let client = Client(descriptor: descriptor)
        observations.connectionOpened()
        defer {
            observations.connectionClosed()
            close(descriptor)
        }
        var idle: Double?
        while true {
            let incoming = client.next(idle: idle) { controls.now.milliseconds("body_read_delay_ms") ?? 0 }
            switch incoming {
            case .ended: return
            case .malformed:
                writeAll(
                    descriptor,
                    Array(
                        ("HTTP/1.1 400 Bad Request\r\nserver: uvicorn\r\ncontent-type: text/plain; charset=utf-8\r\n"
                            + "content-length: 30\r\nconnection: close\r\n\r\nInvalid HTTP request received.").utf8))
                return
            case .request(let request):
                if !request.path.hasPrefix("/stand-in/") { observations.received(request) }
                do {
                    try answer(request, client)
                } catch {
                    return
                }
                guard client.keepsAlive else { return }
                idle = controls.now.number("keep_alive_seconds") ?? options.keepAlive
            }
        }
    }

    private func answer(_ request: HTTPRequest, _ client: Client) throws(ClientGone) {
        var control = controls.now
        var own = JSON.object([])
        if let more = request["x-stand-in-control"], let overlay = try? JSONParser.parse(Array(more.utf8)) {
            own = overlay
            control = control.merging(overlay)
        }
        client.control = control
        var exchange = Exchange(server: self, request: request, client: client, control: control, ownFaults: own)
        try exchange.run()
        let route = exchange.route
        guard !request.path.hasPrefix("/stand-in/") else { return }
        observations.answered(request, route: route, status: exchange.status)
        if options.accessLog, !options.quietEndpoints.contains(request.path) {
            let reason = Client.reasons[exchange.status] ?? ""
            Log.line(
                "INFO:      - \"\(request.method) \(request.target) HTTP/\(request.version)\" "
                    + "\(exchange.status) \(reason)")
        }
    }
}
