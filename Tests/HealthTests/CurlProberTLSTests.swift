import Fleet
import Foundation
import Testing

@testable import Health

/// Against `openssl s_server`, where there is one.
@Suite("The prober over TLS", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")))
struct CurlProberTLSTests {
    @Test("The name of the certificate is the endpoint's, the address is another; only the given roots are trusted")
    func certificate() async throws {
        let folder = NSTemporaryDirectory() + "stoker-health-tls-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let key = folder + "/key.pem"
        let certificate = folder + "/certificate.pem"
        let made = try openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=engine.example", "-addext", "subjectAltName=DNS:engine.example", "-keyout", key, "-out", certificate,
        ])
        // Foundation's waitUntilExit spins where it is called from a task.
        let patience = Instant.now() + .seconds(30)
        while made.isRunning, Instant.now() < patience { try await Task.sleep(for: .milliseconds(20)) }
        try #require(!made.isRunning)
        #expect(made.terminationStatus == 0)

        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let port = try ScriptedServer.bindLoopback(descriptor)
        close(descriptor)
        // -servername_fatal: a wrong SNI ends the handshake.
        let server = try openssl([
            "s_server", "-accept", "127.0.0.1:\(port)", "-cert", certificate, "-key", key, "-cert2", certificate,
            "-key2", key, "-servername", "engine.example", "-servername_fatal", "-www", "-quiet",
        ])
        // Its signal mask is that of a worker thread: SIGTERM would wait for ever.
        defer { kill(server.processIdentifier, SIGKILL) }
        let prober = CurlProber()
        defer { prober.shutdown() }
        func send(name: String, caFile: String?) async -> HTTPProbeResult.Outcome {
            let endpoint = Endpoint(
                address: .tcp(ip: "127.0.0.1", port: port), host: "\(name):\(port)",
                tls: Endpoint.TLS(serverName: name, caFile: caFile))
            return await prober.send(HTTPProbe(endpoint: endpoint, path: "/", timeout: .seconds(20))).outcome
        }
        let end = Instant.now() + .seconds(20)
        var outcome = await send(name: "engine.example", caFile: certificate)
        while outcome == .failure(.refused), Instant.now() < end {
            try await Task.sleep(for: .milliseconds(20))
            outcome = await send(name: "engine.example", caFile: certificate)
        }
        guard case .answer(200, let body) = outcome else {
            Issue.record("no answer: \(outcome)")
            return
        }
        #expect(!body.isEmpty)
        for (name, caFile) in [
            ("other.example", certificate), ("engine.example", nil), ("engine.example", folder + "/no.pem"),
        ] {
            guard case .failure(.tls(let sentence)) = await send(name: name, caFile: caFile) else {
                Issue.record("\(name) was trusted")
                continue
            }
            #expect(!sentence.isEmpty)
        }
    }

    private func openssl(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
