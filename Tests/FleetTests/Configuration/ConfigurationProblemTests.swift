import Fleet
import Testing

/// Every error, at its line and column.
@Suite("Configuration: problems and their places")
struct ConfigurationProblemTests {
    @Test("Each problem of a file", arguments: ProblemRow.rows)
    func problem(row: ProblemRow) {
        let loaded = load(row.yaml, environment: row.environment, files: row.files)
        #expect(loaded.lines == row.lines.map { "stoker.yaml:\($0)" })
        #expect((loaded.configuration == nil) == !loaded.errors.isEmpty)
    }

    @Test("All problems are reported at once, in order of place")
    func allAtOnce() {
        let loaded = load(
            """
            listn: 127.0.0.1:8080
            mode: attach
            mode: supervise
            limits: { body: 32M, bdy: 1, body: 2MiB }
            providers:
              Chat: { model: m }
              a: { base_url: ftp://x, api_key: "" }
              b: {}
            """,
            environment: ["STOKER_GATEWAY_LOOPS": "many", "VLLM_API_KEY": "k"], overrides: ["nope": "1"])
        #expect(
            loaded.problems.map { "\($0.file):\($0.line):\($0.column): \($0.path):" } == [
                "stoker.yaml:1:1: listn:", "stoker.yaml:2:7: mode:", "stoker.yaml:3:1: mode:",
                "stoker.yaml:4:17: limits.body:", "stoker.yaml:4:22: limits.bdy:", "stoker.yaml:4:30: limits.body:",
                "stoker.yaml:6:3: providers.Chat:", "stoker.yaml:7:18: providers.a.base_url:",
                "stoker.yaml:7:36: providers.a.api_key:", "stoker.yaml:8:3: providers.b:",
                "(environment):0:0: STOKER_GATEWAY_LOOPS:", "(environment):0:0: VLLM_API_KEY:",
                "(command line):0:0: nope:",
            ])
    }

    @Test("A runtime directory too long for sockets")
    func runtimeDirectory() {
        let launched = "providers: { chat: { model: m } }"
        let fits = "/" + String(repeating: "r", count: 77)
        #expect(load(launched, runtime: fits).lines == [])
        let long = fits + "r"
        #expect(
            load(launched, runtime: long).lines.first?.hasPrefix(
                "(environment):0:0: RUNTIME_DIRECTORY: the runtime directory '/rrr") == true)
        #expect(load("providers: { chat: { model: m, transport: tcp } }", runtime: long).lines == [])
        #expect(load(nil, runtime: "/" + String(repeating: "r", count: 93)).lines.count == 1)
        #expect(load(nil, runtime: "/" + String(repeating: "r", count: 92)).lines == [])
    }

    @Test("Without a key, others cannot reach the gateway")
    func openGateway() {
        let message = { (address: String) in
            "\(address) can be reached by others, and there is no key: set a key (master_key_file, master_key or "
                + "STOKER_MASTER_KEY), or allow_unauthenticated: true"
        }
        #expect(
            load("listen: [127.0.0.1:1, 10.0.0.1:8080, \":80\"]").lines == [
                "stoker.yaml:1:23: listen[1]: \(message("10.0.0.1:8080"))",
                "stoker.yaml:1:38: listen[2]: \(message("0.0.0.0:80"))",
            ])
        #expect(
            load(environment: ["STOKER_LISTEN": "[::]:8080"]).lines == [
                "(environment):0:0: STOKER_LISTEN: \(message("[::]:8080"))"
            ])
        let open = "listen: 0.0.0.0:8080"
        #expect(load(open, environment: ["STOKER_MASTER_KEY": "k"]).lines == [])
        #expect(load(open, environment: ["GOMODEL_MASTER_KEY": "k"]).lines == [])
        #expect(load(open + "\nallow_unauthenticated: true").lines == [])
        #expect(load(open + "\nallow_unauthenticated: false").lines.count == 1)
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "'[::1]:1'", "localhost:1", "unix:/run/s.sock"] {
            #expect(load("listen: \(loopback)").lines == [])
        }
        // The admin side has its token wherever it is.
        #expect(load("admin: { listen: 0.0.0.0:8081 }").lines == [])
    }
}
