import Fleet
import Testing

@Suite("Configuration: secrets")
struct SecretTests {
    @Test("systemd credentials are used when nothing else is given")
    func credentials() {
        let files = [
            "/cred/master_key": "from-credential\n", "/cred/vllm-test_api_key": "upstream\n", "/cred/admin_token": "t",
            "/k": "from-file",
        ]
        let environment = ["VLLM_TEST_BASE_URL": "http://a", "VLLM_BASE_URL": "http://b"]
        let loaded = load(environment: environment, files: files, credentials: "/cred")
        #expect(loaded.lines == [])
        #expect(loaded.configuration?.masterKey == Secret("from-credential"))
        #expect(loaded.attached("vllm-test")?.apiKey == Secret("upstream"))
        #expect(loaded.attached("vllm")?.apiKey == nil)
        #expect(loaded.configuration?.admin.tokenFile == "/cred/admin_token")
        for yaml in ["master_key: from-file", "master_key_file: /k"] {
            let given = load(yaml, files: files, credentials: "/cred")
            #expect(given.configuration?.masterKey == Secret("from-file"))
        }
        // A credential is enough for an address that others can reach.
        #expect(load("listen: 0.0.0.0:80", files: files, credentials: "/cred").lines == [])
        #expect(load("listen: 0.0.0.0:80", files: [:], credentials: "/cred").lines.count == 1)
        // An unreadable file is not replaced by a credential.
        #expect(load("master_key_file: /absent", files: files, credentials: "/cred").errors.count == 1)
    }

    @Test("Of one input, a key and its file are too much; of two, the later one wins")
    func both() {
        #expect(
            load(environment: ["STOKER_MASTER_KEY": "a", "STOKER_MASTER_KEY_FILE": "/k"]).lines == [
                "(environment):0:0: STOKER_MASTER_KEY_FILE: master_key and master_key_file are both given: leave one of "
                    + "them out"
            ])
        let loaded = load(
            "master_key: a", overrides: ["master_key_file": "/k"], files: ["/k": "b"])
        #expect(loaded.configuration?.masterKey == Secret("b"))
    }

    @Test("A bad credential is a problem at the credential")
    func badCredential() {
        let loaded = load(files: ["/cred/master_key": "\n"], credentials: "/cred")
        #expect(
            loaded.lines == [
                "/cred/master_key:0:0: master_key: the credential is empty: give it a key, or leave it out"
            ])
    }

    @Test("An empty master key in the environment is an error, not an open gateway")
    func emptyMasterKey() {
        for name in ["STOKER_MASTER_KEY", "GOMODEL_MASTER_KEY"] {
            #expect(
                load(environment: [name: ""]).lines == [
                    "(environment):0:0: \(name): is empty: give it a key, or unset it"
                ])
        }
    }

    @Test("No secret is in any message, description or redacted text")
    func nothingShown() throws {
        let yaml = """
            master_key: sk-secret-1
            listen: ${KEY}
            providers:
              a: { base_url: "http://u:sk-secret-2@h", api_key: "sk-secret-3\\n" }
              b: { model: m, args: [--api-key, sk-secret-4, --api-key=sk-secret-5], env: { "X Y": sk-secret-6 } }
              c: { model: m, gpus: "${KEY}", transport: "${KEY}", restart: { budget: "${KEY}" } }
              d: { base_url: "http://h", api_key_file: sk-secret-8 }
            """
        let loaded = load(
            yaml,
            environment: ["KEY": "sk-secret-7", "VLLM_API_KEY": "sk-secret-9", "STOKER_MASTER_KEY_FILE": "sk-secret"])
        #expect(loaded.errors.count >= 8)
        #expect(!loaded.lines.joined().contains("sk-secret"))
    }

    @Test("What an engine inherits")
    func inherited() throws {
        let environment = [
            "PATH": "/bin", "HF_TOKEN": "hf", "VLLM_USE_V1": "1", "CUDA_VISIBLE_DEVICES": "0", "VLLM_API_KEY": "a",
            "VLLM_BASE_URL": "http://a", "VLLM_X_MODELS": "m", "STOKER_LISTEN": ":0", "GOMODEL_MASTER_KEY": "b",
            "BOX": "upstream", "MINE": "master",
        ]
        let configuration = try #require(
            load(
                "master_key: ${MINE}\nproviders:\n  box:\n    base_url: http://a\n    api_key: ${BOX}",
                environment: ["BOX": "upstream", "MINE": "master"]
            ).configuration)
        #expect(
            configuration.inheritedEnvironment(from: environment) == [
                "PATH": "/bin", "HF_TOKEN": "hf", "VLLM_USE_V1": "1", "CUDA_VISIBLE_DEVICES": "0",
            ])
    }

    @Test("Redacted, it is a configuration all the same")
    func redacted() throws {
        let yaml = """
            master_key: sk-secret
            listen: ["[::1]:8080", "unix:/run/a b.sock"]
            providers:
              chat:
                model: org/m
                gpus: ["0", GPU-8f]
                args: [--hf-token, sk-secret, --hf_token=sk-secret, "--x={\\"a\\": 1}", "", "$$5"]
                env: { HF_TOKEN: sk-secret, HF_HOME: "/a b", EMPTY: "" }
              vllm: { base_url: "https://h/p/v1", api_key: sk-secret, models: ["a b", c], passthrough_allow: [POST /sleep] }
            """
        let configuration = try #require(load(yaml).configuration)
        let text = configuration.redacted()
        #expect(!text.contains("sk-secret"))
        #expect(text.contains("master_key: (set)\n"))
        #expect(text.contains("    env: {EMPTY: \"\", HF_HOME: \"/a b\", HF_TOKEN: (set)}\n"))
        #expect(text.contains("    args: [--hf-token, \"(set)\", \"--hf_token=(set)\""))
        let again = load(text)
        #expect(again.lines == [])
        #expect(again.configuration?.redacted() == text)
        #expect(load(Configuration().redacted()).configuration == Configuration())
        #expect(!String(describing: configuration).contains("sk-secret-"))
    }

    @Test("A text that quotes secrets loses them, whole")
    func redacting() throws {
        let configuration = try #require(
            load(
                """
                master_key: correct-horse
                providers:
                  a: { base_url: "http://h:1", api_key: correct-horse-battery }
                  b: { model: m, env: { HF_TOKEN: hf_secret, PLAIN: plain } }
                """
            ).configuration)
        #expect(configuration.secrets.count == 3)
        let quoting = "correct-horse-battery, correct-horse; hf_secret plain"
        #expect(configuration.redacting(quoting) == "(set), (set); (set) plain")
    }
}
