import Fleet
import Testing

@Suite("Configuration: what a file, the environment and the command line make")
struct ConfigurationLoaderTests {
    /// CONTRACT §2's own example.
    static let example = """
        listen: 127.0.0.1:8080          # a list is allowed; unix:/run/stoker/gateway.sock too
        admin:
          listen: 127.0.0.1:8081        # dashboard, status, metrics
          token_file: /etc/stoker/admin.token
        master_key_file: /etc/stoker/master.key
        mode: supervise
        ready_when: any
        providers:
          chat:
            model: meta-llama/Llama-3.1-8B-Instruct
            replicas: 2
            gpus: 1
            args: [--max-model-len, "8192"]
            env: { HF_HOME: /var/lib/stoker/hf }
            command: [vllm, serve]
            transport: unix
            restart: { backoff: 1s..5m, budget: 5 in 10m, start_budget: 3 }
            timeouts: { start_stall: 10m, start_max: 2h, drain: 60s, stop: 30s }
            warmup: auto
          vllm-test:
            type: vllm
            base_url: http://10.0.0.7:8000/v1
            api_key: ${VLLM_TEST_API_KEY}
            models: [org/extra-model]
        health: { interval: 2s, timeout: 5s, unhealthy_after: 3, healthy_after: 1, hang_after: 60s, canary: idle }
        limits: { body: 32MiB, body_memory: 1GiB, header: 64KiB, streams_per_instance: 0, queue: 0, queue_timeout: 30s }
        timeouts: { connect: 2s, first_byte: 0, stream_idle: 300s, slow_reader: 60s }
        routing: { policy: least_inflight }
        gateway: { loops: 2, drain: 1h }
        """

    @Test("The contract's example")
    func contractExample() throws {
        let loaded = load(
            Self.example, environment: ["VLLM_TEST_API_KEY": "upstream"],
            files: ["/etc/stoker/master.key": "change-me\n"])
        #expect(loaded.lines == [])
        let configuration = try #require(loaded.configuration)
        var expected = Configuration()
        expected.admin.tokenFile = "/etc/stoker/admin.token"
        expected.masterKey = Secret("change-me")
        var launch = LaunchConfiguration(model: "meta-llama/Llama-3.1-8B-Instruct")
        launch.replicas = 2
        launch.gpus = .count(1)
        launch.args = ["--max-model-len", "8192"]
        launch.env = ["HF_HOME": Secret("/var/lib/stoker/hf")]
        let attach = AttachConfiguration(
            baseURL: BaseURL(isTLS: false, host: "10.0.0.7", port: 8000, path: ""), apiKey: Secret("upstream"))
        expected.providers = [
            ProviderConfiguration(name: "chat", source: .launched(launch)),
            ProviderConfiguration(name: "vllm-test", source: .attached(attach), models: ["org/extra-model"]),
        ]
        #expect(configuration == expected)
        #expect(configuration.providers.flatMap(\.instanceNames) == ["chat-0", "chat-1", "vllm-test"])
    }

    @Test(
        "Nothing given is the defaults",
        arguments: [
            nil, "", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "null\n", "~", "\u{FEFF}", "{}",
            "health:\nlimits: ~\nproviders:\n", "providers: {}\n", "\r\n# comment\r\n",
        ] as [String?])
    func empty(yaml: String?) {
        let loaded = load(yaml)
        #expect(loaded.lines == [])
        #expect(loaded.configuration == Configuration())
    }

    @Test("Every default of the table is the built-in one")
    func defaultsOfTheTable() throws {
        for key in ConfigurationReference.keys
        where !key.path.contains("*") && !key.defaultText.isEmpty && !key.defaultText.contains("`") {
            let loaded = load(overrides: [key.path: key.defaultText])
            #expect(loaded.lines == [], "\(key.path)")
            #expect(loaded.configuration == Configuration(), "\(key.path)")
        }
        let keys = ConfigurationReference.keys.filter {
            $0.path.hasPrefix("providers.*.") && !$0.defaultText.isEmpty && $0.kind != .gpus && $0.kind != .path
        }
        #expect(keys.count > 10)
        for key in keys {
            let path = key.path.split(separator: "*")[1].dropFirst().split(separator: ".")
            let value = path.reversed().reduce(key.defaultText) { "{ \($1): \($0) }" }.dropFirst(2).dropLast(2)
            let loaded = load("providers: { chat: { model: m, \(value) } }")
            #expect(loaded.lines == [], "\(key.path)")
            #expect(loaded.launched("chat") == LaunchConfiguration(model: "m"), "\(key.path)")
        }
    }

    @Test("Built-in < YAML < environment < command line")
    func precedence() {
        func interval(_ loaded: Loaded) -> Duration? { loaded.configuration?.health.interval }
        let yaml = "health: { interval: 3s }"
        let environment = ["STOKER_HEALTH_INTERVAL": "4s"]
        let overrides = ["health.interval": "5s"]
        #expect(interval(load()) == .seconds(2))
        #expect(interval(load(yaml)) == .seconds(3))
        #expect(interval(load(yaml, environment: environment)) == .seconds(4))
        #expect(interval(load(yaml, environment: environment, overrides: overrides)) == .seconds(5))
        // A wrong value that is overlaid is not looked at; a wrong one that overlays is an error.
        #expect(interval(load("health: { interval: never }", environment: environment)) == .seconds(4))
        #expect(load(yaml, environment: ["STOKER_HEALTH_INTERVAL": "x"]).errors.count == 1)
        // An empty variable is an unset one.
        #expect(interval(load(yaml, environment: ["STOKER_HEALTH_INTERVAL": ""])) == .seconds(3))
    }

    @Test("Every scalar key has its variable, and the variable sets it")
    func mechanicalVariables() throws {
        let values: [String: String] = [
            "listen": "127.0.0.1:9000,unix:/run/x.sock", "admin.listen": "127.0.0.1:9001",
            "admin.token_file": "/t", "master_key_file": "/k", "allow_unauthenticated": "true",
            "mode": "attach-only", "ready_when": "listening", "starts_at_once": "7", "gateway.memory": "9GiB",
            "health.interval": "7s", "health.timeout": "8s",
            "health.unhealthy_after": "9", "health.healthy_after": "10", "health.hang_after": "11m",
            "health.canary": "off", "limits.body": "12MiB", "limits.body_memory": "13GiB", "limits.header": "14KiB",
            "limits.streams_per_instance": "15", "limits.queue": "16", "limits.queue_timeout": "17s",
            "timeouts.connect": "18s", "timeouts.first_byte": "19s", "timeouts.stream_idle": "20s",
            "timeouts.slow_reader": "21s", "gateway.loops": "22", "gateway.drain": "23m", "master_key": "k",
            "limits.connections": "24", "tls.certificate_file": "/c", "tls.key_file": "/k", "access_log": "stderr",
            "cors.origins": "https://a.example",
        ]
        for key in ConfigurationReference.keys {
            guard let variable = key.environmentVariable, key.path != "routing.policy" else { continue }
            let value = try #require(values[key.path], "\(key.path)")
            var environment = [variable: value]
            if key.path == "tls.key_file" { environment["STOKER_TLS_CERTIFICATE_FILE"] = "/c" }
            let loaded = load(environment: environment, files: ["/k": "key"])
            #expect(loaded.lines == [], "\(variable)")
            #expect(loaded.configuration != Configuration(), "\(variable)")
        }
        let all = load(
            environment: [
                "STOKER_READY_WHEN": "all", "STOKER_LIMITS_BODY": "1MiB", "STOKER_LISTEN": "0.0.0.0:8080",
                "STOKER_ADMIN_LISTEN": "0.0.0.0:8081", "STOKER_MASTER_KEY": "change-me",
            ])
        #expect(all.lines == [])
        #expect(all.configuration?.readyWhen == .all)
        #expect(all.configuration?.limits.body == 1 << 20)
        #expect(all.configuration?.listen == [.tcp(host: "0.0.0.0", port: 8080)])
        #expect(all.configuration?.admin.listen == [.tcp(host: "0.0.0.0", port: 8081)])
    }

    @Test("Variables in YAML strings")
    func expansion() {
        let environment = ["A": "a", "EMPTY": "", "N": "3"]
        let rows: [(String, String)] = [
            ("${A}", "a"), ("x-${A}-${A}", "x-a-a"), ("${B:-b}", "b"), ("${A:-b}", "a"), ("${EMPTY:-b}", "b"),
            ("${B:-}y", "y"), ("$${A}", "${A}"), ("$$", "$"), ("a$b", "a$b"), ("5$", "5$"), ("'${A}'", "a"),
            ("\"${B:-b c}\"", "b c"),
        ]
        for (written, expected) in rows {
            let loaded = load(
                "providers: { p: { model: \"m\", args: [x, \(written.hasPrefix("'") || written.hasPrefix("\"") ? written : "\"\(written)\"")] } }",
                environment: environment)
            #expect(loaded.lines == [], "\(written)")
            #expect(loaded.launched("p")?.args.last == expected, "\(written)")
        }
        let count = load("providers: { p: { model: m, replicas: \"${N}\" } }", environment: environment)
        #expect(count.launched("p")?.replicas == 3)
        // What expansion brings in is no YAML and is not expanded again.
        let text = load("providers: { p: { model: '${X}' } }", environment: ["X": "a: [${A}"])
        #expect(text.launched("p")?.model == "a: [${A}")
    }

    @Test("Anchors and aliases")
    func aliases() {
        let loaded = load(
            """
            providers:
              a: { model: m, args: &common [--max-model-len, "8192"] }
              b: { model: m, args: *common }
            """)
        #expect(loaded.lines == [])
        #expect(loaded.launched("b")?.args == ["--max-model-len", "8192"])
    }

    @Test("Relative paths are taken from the file's folder, the environment's as they are")
    func relativePaths() {
        let inputs = ConfigurationInputs(
            yaml: ("/etc/stoker/stoker.yaml", "master_key_file: keys/master"),
            readFile: { path in path == "/etc/stoker/keys/master" ? "k" : "" })
        #expect(ConfigurationLoader.load(inputs).configuration?.masterKey == Secret("k"))
        #expect(load(environment: ["STOKER_MASTER_KEY_FILE": "x/k"], files: ["x/k": "k"]).lines == [])
    }

    @Test("Which file is read")
    func file() {
        let environment = ["STOKER_CONFIG": "/b"]
        #expect(ConfigurationLoader.file(option: "/a", environment: environment) { _ in true } == "/a")
        #expect(ConfigurationLoader.file(option: nil, environment: environment) { _ in true } == "/b")
        #expect(
            ConfigurationLoader.file(option: nil, environment: [:]) { $0 == "/etc/stoker/stoker.yaml" }
                == "/etc/stoker/stoker.yaml")
        #expect(ConfigurationLoader.file(option: nil, environment: ["STOKER_CONFIG": ""]) { _ in false } == nil)
    }

    @Test("Options of the command line")
    func overrides() {
        let loaded = load(overrides: ["providers.chat.model": "org/m", "providers.chat.gpus": "0", "listen": ":0"])
        #expect(loaded.errors.map(\.path) == ["listen"])
        #expect(
            load(overrides: ["providers.chat.model": "org/m", "providers.chat.gpus": "0,1"]).launched("chat")?.gpus
                == .devices(["0", "1"]))
        #expect(
            load(overrides: ["helth.interval": "1s", "master_key": "sk-secret"]).lines == [
                "(command line):0:0: helth.interval: unknown key; did you mean health.interval?",
                "(command line):0:0: master_key: a secret on the command line can be read by every user: "
                    + "give master_key_file instead",
            ])
    }
}
