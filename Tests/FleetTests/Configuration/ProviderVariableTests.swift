import Fleet
import Testing

/// Every rule of the guide and of CONTRACT §2 about `VLLM_*`, `STOKER_*` and `GOMODEL_*`.
@Suite("Configuration: environment")
struct ProviderVariableTests {
    @Test(
        "A base URL registers a provider by its suffix",
        arguments: [
            ("VLLM_BASE_URL", "vllm"),
            ("VLLM_TEST_BASE_URL", "vllm-test"),
            ("VLLM_TEST_BOX_BASE_URL", "vllm-test-box"),
            ("VLLM_test_Box_BASE_URL", "vllm-test-box"),
            ("VLLM_2_BASE_URL", "vllm-2"),
            ("VLLM_A__B_BASE_URL", "vllm-a--b"),
            ("VLLM_API_KEY_BASE_URL", "vllm-api-key"),
            ("VLLM_BASE_URL_BASE_URL", "vllm-base-url"),
            ("VLLM_\(String(repeating: "A", count: 58))_BASE_URL", "vllm-" + String(repeating: "a", count: 58)),
        ])
    func registers(variable: String, name: String) {
        let loaded = load(environment: [variable: "http://host.docker.internal:8000/v1"])
        #expect(loaded.lines == [])
        #expect(loaded.configuration?.providers.map(\.name) == [name])
        #expect(
            loaded.attached(name)?.baseURL
                == BaseURL(isTLS: false, host: "host.docker.internal", port: 8000, path: ""))
        #expect(loaded.attached(name)?.apiKey == nil)
    }

    @Test("The guide: two servers, a key, a master key")
    func guide() {
        let loaded = load(environment: [
            "GOMODEL_MASTER_KEY": "change-me",
            "VLLM_BASE_URL": "http://host.docker.internal:8000/v1",
            "VLLM_API_KEY": "token-abc123",
            "VLLM_TEST_BASE_URL": "http://host.docker.internal:8000/v1",
        ])
        #expect(loaded.lines == [])
        #expect(loaded.configuration?.masterKey == Secret("change-me"))
        #expect(loaded.configuration?.providers.map(\.name) == ["vllm", "vllm-test"])
        #expect(loaded.attached("vllm")?.apiKey == Secret("token-abc123"))
        #expect(loaded.attached("vllm-test")?.apiKey == nil)
    }

    @Test("Keys and models belong to the same name, in upper or lower case")
    func keysAndModels() {
        let loaded = load(environment: [
            "VLLM_TEST_BOX_BASE_URL": "https://box/v1", "VLLM_TEST_BOX_API_KEY": "k1",
            "VLLM_test_box_MODELS": "org/a, org/b,,org/a",
            "VLLM_BASE_URL": "http://a", "VLLM_MODELS": "m",
        ])
        #expect(loaded.lines == [])
        #expect(loaded.attached("vllm-test-box")?.apiKey == Secret("k1"))
        #expect(loaded.provider("vllm-test-box")?.models == ["org/a", "org/b"])
        #expect(loaded.provider("vllm")?.models == ["m"])
    }

    @Test(
        "Warnings, never silence",
        arguments: [
            (
                ["VLLM_API_KEY": "sk-secret"], "VLLM_API_KEY",
                "ignored: there is no provider vllm that it could belong to; VLLM_BASE_URL would register it"
            ),
            (
                ["VLLM_TEST_API_KEY": "sk-secret"], "VLLM_TEST_API_KEY",
                "ignored: there is no provider vllm-test that it could belong to; VLLM_TEST_BASE_URL would register it"
            ),
            (
                ["VLLM_MODELS": "sk-secret"], "VLLM_MODELS",
                "ignored: there is no provider vllm that it could belong to; VLLM_BASE_URL would register it"
            ),
            (
                ["VLLM_TEST_MODELS": "a", "VLLM_BASE_URL": "http://a"], "VLLM_TEST_MODELS",
                "ignored: there is no provider vllm-test that it could belong to; VLLM_TEST_BASE_URL would register it"
            ),
            (["VLLM__BASE_URL": "http://a"], "VLLM__BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM_TEST-BOX_BASE_URL": "http://a"], "VLLM_TEST-BOX_BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM_TEST.BOX_BASE_URL": "http://a"], "VLLM_TEST.BOX_BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM__TEST_BASE_URL": "http://a"], "VLLM__TEST_BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM_TEST__BASE_URL": "http://a"], "VLLM_TEST__BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM_É_BASE_URL": "http://a"], "VLLM_É_BASE_URL", Self.suffix("BASE_URL")),
            (["VLLM_A B_API_KEY": "sk-secret"], "VLLM_A B_API_KEY", Self.suffix("API_KEY")),
            (["VLLM_A/B_MODELS": "m"], "VLLM_A/B_MODELS", Self.suffix("MODELS")),
            (
                ["VLLM_\(String(repeating: "A", count: 59))_BASE_URL": "http://a"],
                "VLLM_\(String(repeating: "A", count: 59))_BASE_URL", Self.suffix("BASE_URL")
            ),
            (
                ["STOKER_HELTH_INTERVAL": "2s"], "STOKER_HELTH_INTERVAL",
                "unknown variable, ignored; did you mean STOKER_HEALTH_INTERVAL?"
            ),
            (["STOKER_FROBNICATION": "2s"], "STOKER_FROBNICATION", "unknown variable, ignored"),
        ] as [([String: String], String, String)])
    func warnings(environment: [String: String], variable: String, message: String) {
        let loaded = load(environment: environment)
        #expect(loaded.lines == ["(environment):0:0: \(variable): warning: \(message)"])
        #expect(loaded.configuration != nil)
        #expect(loaded.configuration?.providers.map(\.name) == (environment["VLLM_BASE_URL"] == nil ? [] : ["vllm"]))
        #expect(!loaded.lines.joined().contains("sk-secret"))
    }

    private static func suffix(_ kind: String) -> String {
        "ignored: between VLLM_ and _\(kind) stand letters, digits and underscores, at most 58, the first and the last "
            + "no underscore"
    }

    @Test("Variables that are none of ours are not warned about")
    func foreign() {
        let names = [
            "VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "VLLM_CPU_KVCACHE_SPACE", "VLLM_USE_V1", "VLLM_ATTENTION_BACKEND",
            "VLLM_LOGGING_LEVEL", "VLLM_HOST_IP", "VLLM_PORT", "VLLM_USE_MODELSCOPE", "VLLM_MODELS_DIR",
            "VLLM_BASE_URLS", "VLLM_ENABLE_RESPONSES_API_STORE", "VLLM_NO_USAGE_STATS", "VLLM_", "VLLM",
            "XVLLM_BASE_URL", "vllm_base_url", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GOMODEL_PORT",
            "STOKER_CONFIG", "STOKER_TEST_X", "STOKER_DEV_X", "STOKER_SERVICE_HOST", "STOKER_SERVICE_PORT",
            "STOKER_SERVICE_PORT_HTTP", "STOKER_PORT", "STOKER_PORT_8080_TCP_ADDR", "STOKER",
        ]
        var environment: [String: String] = [:]
        for name in names { environment[name] = "tcp://10.0.0.1:80" }
        let loaded = load(environment: environment)
        #expect(loaded.lines == [])
        #expect(loaded.configuration == Configuration())
    }

    @Test("Variables that the file asks for have their purpose")
    func expanded() {
        let loaded = load(
            "providers: { box: { base_url: \"${VLLM_BOX_URL:-http://a}\", api_key: \"${VLLM_BOX_API_KEY}\" } }",
            environment: ["VLLM_BOX_API_KEY": "k", "STOKER_BOX": "x"])
        #expect(loaded.lines == ["(environment):0:0: STOKER_BOX: warning: unknown variable, ignored"])
        #expect(loaded.attached("box")?.apiKey == Secret("k"))
    }

    @Test("Empty variables are unset ones")
    func emptyVariables() {
        let loaded = load(environment: [
            "VLLM_BASE_URL": "", "VLLM_API_KEY": "", "VLLM_TEST_MODELS": "", "VLLM__BASE_URL": "", "STOKER_LISTEN": "",
        ])
        #expect(loaded.lines == [])
        #expect(loaded.configuration == Configuration())
    }

    @Test(
        "The environment overlays the file's provider of the same name",
        arguments: [
            ["VLLM_BASE_URL": "http://b:2/"], ["VLLM_API_KEY": "new"], ["VLLM_MODELS": "x,y"],
        ])
    func overlays(environment: [String: String]) {
        let yaml = """
            providers:
              vllm: { base_url: http://a:1, api_key: old, models: [m], passthrough_allow: [POST /sleep] }
            """
        let loaded = load(yaml, environment: environment)
        #expect(loaded.lines == [])
        let provider = loaded.provider("vllm")
        #expect(provider?.passthroughAllow == ["POST /sleep"])
        #expect(provider?.models == (environment["VLLM_MODELS"] == nil ? ["m"] : ["x", "y"]))
        #expect(loaded.attached("vllm")?.apiKey == Secret(environment["VLLM_API_KEY"] ?? "old"))
        #expect(loaded.attached("vllm")?.baseURL.host == (environment["VLLM_BASE_URL"] == nil ? "a" : "b"))
    }

    @Test("The environment gives a provider of the file its base URL, and its key in place of a key's file")
    func completes() {
        let loaded = load(
            "providers: { vllm-test: { passthrough_allow: [POST /sleep], api_key_file: /absent } }",
            environment: ["VLLM_TEST_BASE_URL": "http://a", "VLLM_TEST_API_KEY": "k"])
        #expect(loaded.lines == [])
        #expect(loaded.attached("vllm-test")?.apiKey == Secret("k"))
    }

    @Test("A launched provider takes no base URL and no key from the environment")
    func launched() {
        let yaml = "providers: { vllm: { model: m } }"
        #expect(
            load(yaml, environment: ["VLLM_BASE_URL": "http://a"]).lines == [
                "(environment):0:0: VLLM_BASE_URL: provider vllm is launched here (it has a model): it takes no base "
                    + "URL; rename the provider, or unset the variable"
            ])
        let key = load(yaml, environment: ["VLLM_API_KEY": "sk-secret", "VLLM_MODELS": "a,b"])
        #expect(
            key.lines == [
                "(environment):0:0: VLLM_API_KEY: warning: ignored: provider vllm is launched here and needs no key"
            ])
        #expect(key.provider("vllm")?.models == ["a", "b"])
    }

    @Test("Two variables for the same name")
    func collision() {
        let loaded = load(environment: ["VLLM_TEST_BASE_URL": "http://a", "VLLM_test_BASE_URL": "http://b"])
        #expect(
            loaded.lines == [
                "(environment):0:0: VLLM_test_BASE_URL: sets the same as VLLM_TEST_BASE_URL: both belong to provider "
                    + "vllm-test"
            ])
    }

    @Test("A bad base URL is an error that names the variable and not the value")
    func badURL() {
        let loaded = load(environment: ["VLLM_BASE_URL": "http://me:hunter2@a/v1", "VLLM_API_KEY": "k"])
        #expect(
            loaded.lines == [
                "(environment):0:0: VLLM_BASE_URL: user information in the URL is not supported: put the key into "
                    + "api_key or api_key_file"
            ])
    }

    @Test(
        "The master key: ours before the older name, both before the file's",
        arguments: [
            (["STOKER_MASTER_KEY": "ours"], "ours"),
            (["GOMODEL_MASTER_KEY": "older"], "older"),
            (["STOKER_MASTER_KEY": "ours", "GOMODEL_MASTER_KEY": "older"], "ours"),
            (["STOKER_MASTER_KEY_FILE": "/k", "GOMODEL_MASTER_KEY": "older"], "file's"),
            ([:], "yaml's"),
        ] as [([String: String], String)])
    func masterKey(environment: [String: String], expected: String) {
        for yaml in ["master_key: yaml's", "master_key_file: /yaml"] {
            let loaded = load(yaml, environment: environment, files: ["/k": "file's\n", "/yaml": "yaml's"])
            #expect(loaded.lines == [])
            #expect(loaded.configuration?.masterKey == Secret(expected))
        }
    }
}
