import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Preflight")
struct AdminPreflightTests {
    /// A preflight in a folder with a vLLM that is a script, whose interpreter says a version.
    func preflight(
        _ directory: TemporaryDirectory,
        _ change: (inout Configuration, inout LaunchConfiguration) -> Void = { _, _ in }
    ) -> Preflight {
        directory.write("venv/bin/vllm", "#!\(directory.path)/venv/bin/python\n", mode: 0o755)
        directory.write("venv/bin/python", "#!/bin/sh\necho 0.32.0\n", mode: 0o755)
        var configuration = Configuration()
        configuration.listen = [.tcp(host: "127.0.0.1", port: 0)]
        configuration.admin.listen = [.tcp(host: "127.0.0.1", port: 0)]
        var launch = LaunchConfiguration(model: "org/model")
        change(&configuration, &launch)
        configuration.providers = [ProviderConfiguration(name: "chat", source: .launched(launch))]
        var preflight = Preflight(
            configuration: configuration, environment: ["PATH": "\(directory.path)/venv/bin"],
            directories: Directories(state: "\(directory.path)/state", runtime: "\(directory.path)/run"))
        preflight.gpuList = "\(directory.path)/gpus"
        preflight.sharedMemory = "/tmp"
        preflight.inventory = NoGPUs()
        preflight.environment["HOME"] = directory.path
        preflight.environment["HF_TOKEN"] = "t"
        return preflight
    }

    @Test("All in order, and nothing is left behind")
    func inOrder() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let report = preflight(directory).run()
        #expect(report.findings.filter { $0.severity == .error } == [])
        #expect(report.facts.contains("providers.chat: runs \(directory.path)/venv/bin/vllm, vLLM 0.32.0"))
        #expect(access("\(directory.path)/state", F_OK) != 0)
    }

    func findings(
        _ path: String, _ change: (inout Configuration, inout LaunchConfiguration) -> Void
    ) throws -> [PreflightFinding] {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        return preflight(directory, change).run().findings.filter { $0.path == path }
    }

    @Test("What would fail later")
    func found() throws {
        let command = try findings("providers.chat.command") { $1.command = ["no-vllm", "serve"] }
        #expect(command.count == 1 && command[0].message.contains("not found on the PATH"))
        #expect(try findings("providers.chat.command") { $1.command = ["/no/vllm", "serve"] }.count == 1)
        #expect(try findings("providers.chat.command") { $1.env["PATH"] = Secret("/nowhere") }.count == 1)
        #expect(try findings("providers.chat.model") { $1.model = "/no/model" }.count == 1)
        #expect(try findings("providers.chat.model") { $1.model = "/tmp" }.count == 1)
        #expect(try findings("providers") { $1.gpus = .count(2) }.contains { $0.message.hasPrefix("2 GPUs") })
        #expect(try findings("providers.chat.gpus") { $1.gpus = .devices(["0"]) }.count == 1)
        #expect(
            try findings("admin.token_file") { configuration, _ in
                configuration.admin.tokenFile = "/no/token"
            }.count == 1)
        #expect(
            try findings("listen") { configuration, _ in
                configuration.listen = [.tcp(host: "192.0.2.1", port: 0)]
            }.contains { $0.message.contains("no address of this machine") })
        let mode = try findings("providers.chat.command") { configuration, launch in
            configuration.mode = .attachOnly
            launch.command = ["no-vllm"]
        }
        #expect(mode.isEmpty)
    }

    @Test("A taken port")
    func takenPort() async throws {
        try await AdminFixture.run { fixture in
            let port = fixture.port
            let found = try findings("admin.listen") { configuration, _ in
                configuration.admin.listen = [.tcp(host: "127.0.0.1", port: port)]
            }
            #expect(found.count == 1 && found[0].message.contains("is taken by another process, pid \(getpid()) ("))
        }
    }

    @Test("A runtime directory that is too long for its sockets")
    func longDirectory() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var preflight = preflight(directory)
        preflight.directories.runtime = "/tmp/" + String(repeating: "x", count: 100)
        #expect(preflight.run().findings.contains { $0.path == "runtime" && $0.message.contains("107") })
    }

    @Test("A version that is not to be found is a warning")
    func unknownVersion() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var preflight = preflight(directory)
        directory.write("bin/vllm", "#!/usr/bin/env no-python\n", mode: 0o755)
        preflight.environment["PATH"] = "\(directory.path)/bin"
        let found = preflight.run().findings.filter { $0.path == "providers.chat.command" }
        #expect(found.count == 1 && found[0].severity == .warning)
    }
}
