import Fleet
import Glibc
import Testing

@testable import Supervisor

/// The dashboard over a fake daemon that is up to something, for looking at it in a browser:
/// `STOKER_ADMIN_DEMO=18081 swift test --filter AdminDemo`, for ten minutes.
@Suite("Admin demo")
struct AdminDemo {
    @Test(
        "Serves the dashboard",
        .enabled(if: getenv("STOKER_ADMIN_DEMO") != nil))
    func serve() async throws {
        let port = try #require(getenv("STOKER_ADMIN_DEMO").flatMap { UInt16(String(cString: $0)) })
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let control = FakeDaemonControl()
        let log = directory.write("chat-0.log", "INFO api_server.py: <b>started</b>\n")
        control.state.withLock { $0.logPaths["chat-0"] = log }
        let server = AdminServer(
            control: control, token: AdminToken(Secret("demo")), addresses: [.tcp(host: "127.0.0.1", port: port)],
            socketPath: "/tmp/stoker-demo.sock", logger: .quiet)
        try await server.start()
        for second in 0..<600 {
            try await Task.sleep(for: .seconds(1))
            control.change { report in
                report.uptimeSeconds += 1
                report.gateway.requestsTotal += UInt64(second % 7)
                report.providers[0].instances[0].inflight = 5 + second % 4
                report.providers[0].instances[1].progressPercent = min(99, 43 + second / 3)
            }
        }
        await server.stop()
    }
}
