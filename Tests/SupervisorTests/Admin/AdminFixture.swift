import Dispatch
import Fleet
import FoundationEssentials
import Glibc
import Logging
import Synchronization
import Testing

@testable import Supervisor

/// A running admin server over a fake daemon, in a folder of its own.
final class AdminFixture: Sendable {
    static let token = "the-token-of-the-tests"

    let control: FakeDaemonControl
    let server: AdminServer
    let directory: String
    let port: UInt16

    var socketPath: String { "\(directory)/admin.sock" }
    var unix: AdminClient { AdminClient(.unix(path: socketPath)) }
    var tcp: AdminClient { AdminClient(.loopback(port: port)) }

    private init(control: FakeDaemonControl, server: AdminServer, directory: String, port: UInt16) {
        self.control = control
        self.server = server
        self.directory = directory
        self.port = port
    }

    /// Runs a test's body against a server, then stops it.
    static func run(
        host: String = "127.0.0.1", report: StatusReport = SampleReport.lively,
        _ body: (AdminFixture) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let control = FakeDaemonControl(report)
        let server = AdminServer(
            control: control, token: AdminToken(Secret(token)), addresses: [.tcp(host: host, port: 0)],
            socketPath: "\(directory.path)/admin.sock", logger: .quiet)
        try await server.start()
        let port = try #require(
            await server.boundAddresses.compactMap { address -> UInt16? in
                if case .tcp(_, let port) = address { return port }
                return nil
            }.first)
        let fixture = AdminFixture(control: control, server: server, directory: directory.path, port: port)
        do {
            try await body(fixture)
        } catch {
            control.release()
            await server.stop()
            throw error
        }
        control.release()
        await server.stop()
    }

    /// Asks over TCP, as a client that says `Host: localhost` unless told otherwise.
    func ask(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: String = ""
    ) async throws -> AdminClient.Answer {
        let client = tcp
        return try await blocking {
            try client.ask(method, target, headers: headers, body: Array(body.utf8))
        }
    }

    /// Asks over the Unix socket.
    func askUnix(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: String = ""
    ) async throws -> AdminClient.Answer {
        let client = unix
        return try await blocking {
            try client.ask(method, target, headers: headers, body: Array(body.utf8))
        }
    }
}

/// Runs what blocks beside the cooperative threads, which the server under test needs.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
    }
}

/// Waits for a condition, at most ten seconds.
func eventually(_ condition: () async -> Bool) async -> Bool {
    let deadline = Instant.now() + .seconds(10)
    while Instant.now() < deadline {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return await condition()
}

/// A folder that is removed with all that is in it.
struct TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/stoker-admin-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw AdminClient.Failure.unreachable("mkdtemp") }
        path = String(cString: made)
    }

    /// Writes a file in it and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) -> String {
        let file = "\(path)/\(name)"
        if let slash = file.lastIndex(of: "/") { _ = FileSystem.makeDirectory(String(file[..<slash]), mode: 0o755) }
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, mode)
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
        return file
    }

    func remove() { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in SystemFile.names(in: path) {
            let file = "\(path)/\(name)"
            if unlink(file) != 0 { remove(file) }
        }
        rmdir(path)
    }
}

extension AdminClient.Answer {
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The error's code, where it is one.
    var errorCode: String? {
        struct Envelope: Decodable {
            struct Detail: Decodable {
                var message: String
                var code: String
            }
            var error: Detail
        }
        return try? JSONDecoder().decode(Envelope.self, from: Data(body)).error.code
    }
}

extension Logger {
    /// Says nothing.
    static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
