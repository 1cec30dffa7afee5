extension ProblemRow {
    private static let address =
        "expected an address such as 127.0.0.1:8080, [::1]:8080, :8080 or unix:/run/stoker/gateway.sock"

    static let addresses: [ProblemRow] = [
        ProblemRow(
            "listen: [::1]:8080",
            "1:10: (document): not YAML: did not find expected node content while parsing a flow node; an IPv6 address is "
                + "written in quotes: \"[::1]:8080\""),
        ProblemRow("listen: :0\nallow_unauthenticated: true"),
        ProblemRow("listen: []", "1:9: listen: expected at least one address"),
        ProblemRow("listen: 8080", "1:9: listen: \(address); for a port alone write :8080, found '8080'"),
        ProblemRow("listen: localhost", "1:9: listen: \(address); a port is missing, found 'localhost'"),
        ProblemRow(
            "listen: 127.0.0.1:65536",
            "1:9: listen: \(address); the port is a number from 0 to 65535, found '127.0.0.1:65536'"),
        ProblemRow(
            "listen: \"::1:8080\"", "1:9: listen: \(address); an IPv6 address is written in brackets, found '::1:8080'"),
        ProblemRow(
            "listen: \"[x]:8080\"",
            "1:9: listen: \(address); between the brackets there is no IPv6 address, found '[x]:8080'"),
        ProblemRow(
            "listen: example.org:80",
            "1:9: listen: \(address); the host is a numeric address or localhost, found 'example.org:80'"),
        ProblemRow("listen: unix:run/x", "1:9: listen: expected an absolute path after unix:, found 'unix:run/x'"),
        ProblemRow("listen: [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "1:25: listen[1]: 127.0.0.1:1 is listed twice"),
        ProblemRow(
            "admin: { listen: 127.0.0.1:8080 }",
            "1:18: admin.listen: 127.0.0.1:8080 is also the gateway's (listen): give them different addresses"),
    ]

    private static func url(_ url: String, _ message: String) -> ProblemRow {
        ProblemRow("providers:\n  a:\n    base_url: \(url)", "3:15: providers.a.base_url: \(message)")
    }

    static let urls: [ProblemRow] = [
        url(
            "10.0.0.7:8000",
            "expected a URL such as http://10.0.0.7:8000/v1; it begins with http://, https:// or unix:/"),
        url("ftp://a", "a base URL begins with http://, https:// or unix:/"),
        url("http://", "the URL has no host"),
        url("http://:8000", "the URL has no host"),
        url("http://a:0", "the URL's port is a number from 1 to 65535"),
        url("http://a:70000", "the URL's port is a number from 1 to 65535"),
        url("http://a:x", "the URL's port is a number from 1 to 65535"),
        url(
            "http://me:hunter2@a",
            "user information in the URL is not supported: put the key into api_key or api_key_file"),
        url("http://a/v1?key=x", "a base URL has no query (?…)"),
        url("\"http://a/v1#x\"", "a base URL has no fragment (#…)"),
        url("http://a b", "a URL has no spaces, control characters or characters beyond ASCII"),
        url("http://bücher", "a URL has no spaces, control characters or characters beyond ASCII"),
        url("http://a*b", "the URL's host is not a host's name"),
        url("http://::1/v1", "an IPv6 address in a URL is written in brackets"),
        url("\"http://[::x]/\"", "between the brackets there is no IPv6 address"),
        url("http://a/../b", "the URL's path has no empty, . or .. segments"),
        url("http://a//b", "the URL's path has no empty, . or .. segments"),
        url("http://a/v1/chat/completions", "the base URL ends before /chat/completions"),
        url("unix:relative", "expected an absolute path after unix:"),
        url(
            "unix:/\(String(repeating: "s", count: 107))", "a socket's path has at most 107 bytes, this one 108"),
    ]

    static let providers: [ProblemRow] = [
        ProblemRow(
            "providers:\n  a:\n",
            "2:3: providers.a: neither model (to launch a server) nor base_url (to attach to one) is given"),
        ProblemRow(
            "providers: { a: { model: m, base_url: \"http://a\" } }",
            "1:39: providers.a.base_url: both model and base_url are given: a provider with model is launched, one with "
                + "base_url is attached"),
        ProblemRow(
            "mode: attach-only\nproviders:\n  a:\n    model: m",
            "4:12: providers.a.model: nothing is launched in attach-only mode: give base_url, or leave mode out"),
        ProblemRow(
            "providers: { A: { model: m }, a_b: { model: m }, \"\": { model: m } }",
            "1:14: providers.A: a provider's name has 1 to 63 of a-z, 0-9 and -",
            "1:31: providers.a_b: a provider's name has 1 to 63 of a-z, 0-9 and -",
            "1:50: providers.: a provider's name has 1 to 63 of a-z, 0-9 and -"),
        ProblemRow(
            "providers:\n  chat: { model: m, replicas: 2 }\n  chat-1: { base_url: \"http://a\" }",
            "3:3: providers.chat-1: chat-1 is the name of an instance of chat and of chat-1: names of providers and "
                + "instances are unique together"),
        ProblemRow(
            "providers:\n  chat-0: { model: m }\n  chat: { model: m }",
            "3:3: providers.chat: chat-0 is the name of an instance of chat and of chat-0: names of providers and "
                + "instances are unique together"),
        ProblemRow(
            "providers:\n  \(String(repeating: "a", count: 62)): { model: m }",
            "2:3: providers.\(String(repeating: "a", count: 62)): its instance \(String(repeating: "a", count: 62))-0 has "
                + "a name of more than 63 letters: shorten the name"),
        ProblemRow(
            "providers: { a: { base_url: \"http://a\", replicas: 2, restart: { start_budget: 3 } } }",
            "1:51: providers.a.replicas: replicas is for launched providers (those with model)",
            "1:79: providers.a.restart.start_budget: restart.start_budget is for launched providers (those with model)"),
        ProblemRow(
            "providers: { a: { model: m, api_key: k } }",
            "1:38: providers.a.api_key: api_key is for attached providers (those with base_url)"),
        ProblemRow(
            "providers: { a: { base_url: \"http://a\", ca_file: /ca } }",
            "1:50: providers.a.ca_file: ca_file is for https, the base URL is not"),
        ProblemRow(
            "providers: { a: { base_url: \"http://a\", passthrough_allow: [sleep, POST sleep, POST /a/../b, post /x] } }",
            "1:61: providers.a.passthrough_allow[0]: expected a method and a path such as POST /sleep, found 'sleep'",
            "1:68: providers.a.passthrough_allow[1]: expected a method and a path such as POST /sleep, found 'POST sleep'",
            "1:80: providers.a.passthrough_allow[2]: the path is written decoded, without query, empty, . or .. segments "
                + "and final slash, found 'POST /a/../b'",
            "1:94: providers.a.passthrough_allow[3]: expected a method and a path such as POST /sleep, found 'post /x'"),
    ]

    private static func argument(_ argument: String, _ option: String, _ advice: String) -> ProblemRow {
        ProblemRow(
            "providers:\n  a:\n    model: m\n    args: [-x, \"\(argument)\", y]",
            "4:16: providers.a.args[1]: \(option) is not to be given: \(advice)")
    }

    private static let listens = "Stoker chooses where the server listens; see transport"
    private static let tls = "the gateway reaches the server on this machine; TLS is for those in front"
    private static let key = "arguments can be read by every user; the gateway's own key is master_key"

    static let launched: [ProblemRow] = [
        argument("--host", "--host", listens),
        argument("--host=0.0.0.0", "--host", listens),
        argument("--port", "--port", listens),
        argument("--port=8000", "--port", listens),
        argument("--por", "--port", listens),
        argument("--uds", "--uds", listens),
        argument("--api-key", "--api-key", key),
        argument("--api_key=sk-secret", "--api-key", key),
        argument("--ssl-keyfile", "--ssl-keyfile", tls),
        argument("--ssl_certfile=/c", "--ssl-certfile", tls),
        argument("--ssl-ca-certs", "--ssl-ca-certs", tls),
        argument("--root-path", "--root-path", "the gateway has the server at its root"),
        argument("--root_path=/x", "--root-path", "the gateway has the server at its root"),
        ProblemRow(
            "providers: { a: { model: \"\", args: [--served-model-name, x, --tokenizer-mode, auto, --api-server-count, 1] } }",
            "1:26: providers.a.model: is empty"),
        ProblemRow(
            "providers: { a: { model: --help } }",
            "1:26: providers.a.model: a model's name does not begin with a hyphen"),
        ProblemRow(
            "providers: { a: { model: m, command: [sudo, /usr/bin/docker, run] } }",
            "1:45: providers.a.command[1]: docker starts the server where Stoker cannot watch or end it: start it "
                + "yourself, and attach to it with base_url in place of model"),
        ProblemRow(
            "providers: { a: { model: m, command: [podman] } }",
            "1:39: providers.a.command[0]: podman starts the server where Stoker cannot watch or end it: start it "
                + "yourself, and attach to it with base_url in place of model"),
        ProblemRow(
            "providers: { a: { model: m, command: [ssh, box] } }",
            "1:39: providers.a.command[0]: ssh starts the server where Stoker cannot watch or end it: start it "
                + "yourself, and attach to it with base_url in place of model"),
        ProblemRow(
            "providers: { a: { model: m, command: [] } }",
            "1:38: providers.a.command: expected a program and its arguments, such as [vllm, serve]"),
        ProblemRow(
            "providers: { a: { model: m, transport: udp, warmup: no } }",
            "1:40: providers.a.transport: expected one of unix, tcp, found 'udp'",
            "1:53: providers.a.warmup: expected one of auto, none, found 'no'"),
    ]

    static let gpus: [ProblemRow] = [
        ProblemRow(
            "providers: { a: { model: m, gpus: 65 } }",
            "1:35: providers.a.gpus: expected a number of GPUs from 0 to 64, or a list of them, found '65'"),
        ProblemRow(
            "providers: { a: { model: m, gpus: all } }",
            "1:35: providers.a.gpus: expected a number of GPUs from 0 to 64, or a list of them, found 'all'"),
        ProblemRow(
            "providers: { a: { model: m, gpus: [] } }", "1:35: providers.a.gpus: an empty list; for no GPU write 0"),
        ProblemRow(
            "providers: { a: { model: m, gpus: [0, 01, 0, GPU-8f] } }",
            "1:39: providers.a.gpus[1]: expected a GPU's index, or its UUID (GPU-… or MIG-…), found '01'",
            "1:43: providers.a.gpus[2]: GPU 0 is listed twice"),
        ProblemRow(
            """
            providers:
              a: { model: m, gpus: [0], args: [--gpu-memory-utilization, "0.6"] }
              b: { model: m, gpus: ["0", "1"], args: [--gpu_memory_utilization=0.5] }
            """,
            "3:24: providers.b.gpus: the shares of GPU 0 (a, b) are 110 % together: --gpu-memory-utilization is at most 1 "
                + "in sum"),
        ProblemRow(
            """
            providers:
              a: { model: m, gpus: [0] }
              b: { model: m, gpus: [0], args: [--kv-cache-memory-bytes, 4G] }
            """,
            "2:24: providers.a.gpus: GPU 0 is listed for several instances (a, b): then each names its share in args, "
                + "--gpu-memory-utilization or --kv-cache-memory-bytes"),
        ProblemRow(
            "providers: { a: { model: m, gpus: [3], replicas: 2 } }",
            "1:35: providers.a.gpus: GPU 3 is listed for several instances (a): then each names its share in args, "
                + "--gpu-memory-utilization or --kv-cache-memory-bytes"),
        ProblemRow(
            "providers: { a: { model: m, gpus: [3], args: [--gpu-memory-utilization, lots] } }",
            "1:46: providers.a.args: --gpu-memory-utilization is a number above 0 and at most 1"),
        ProblemRow("providers: { a: { model: m, gpus: [3], replicas: 2, args: [--gpu-memory-utilization, 0.5] } }"),
        ProblemRow(
            "providers: { a: { model: m, gpus: 1, env: { CUDA_VISIBLE_DEVICES: 1 } } }",
            "1:45: providers.a.env.CUDA_VISIBLE_DEVICES: warning: gpus says which devices the server sees; this is "
                + "overridden"),
    ]

    private static let carry = "which no HTTP header can carry: use letters, digits and signs on one line"

    static let secrets: [ProblemRow] = [
        ProblemRow(
            "master_key: a\nmaster_key_file: /k",
            "2:18: master_key_file: master_key and master_key_file are both given: leave one of them out",
            files: ["/k": "k"]),
        ProblemRow(
            "providers: { a: { base_url: \"http://a\", api_key_file: /k, api_key: b } }",
            "1:68: providers.a.api_key: api_key and api_key_file are both given: leave one of them out",
            files: ["/k": "k"]),
        ProblemRow(
            "master_key_file: /absent",
            "1:18: master_key_file: '/absent' cannot be read (No such file or directory): create it with the key as its "
                + "only line, and let the daemon's user read it"),
        ProblemRow(
            "master_key_file: sk-secret",
            "1:18: master_key_file: the file cannot be read (No such file or directory): create it with the key as its "
                + "only line, and let the daemon's user read it"),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' is empty: give it a key, or leave it out",
            files: ["/k": "\n"]),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' has more than one line, \(carry)", files: ["/k": "a\nb"]
        ),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' has a NUL character, \(carry)", files: ["/k": "a\0"]),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' has a control character, \(carry)",
            files: ["/k": "a\tb"]),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' has a character beyond ASCII, \(carry)",
            files: ["/k": "ä"]),
        ProblemRow(
            "master_key_file: /k", "1:18: master_key_file: '/k' begins or ends with a space, \(carry)",
            files: ["/k": "a \n"]),
        ProblemRow("master_key: \"\"", "1:13: master_key: the key is empty: give it a key, or leave it out"),
        ProblemRow("master_key: \"sk\\nsecret\"", "1:13: master_key: the key has more than one line, \(carry)"),
        ProblemRow("master_key: [sk-secret]", "1:13: master_key: expected a text"),
        ProblemRow(
            "master_key: ${K:-}\nlisten: 0.0.0.0:80",
            "1:13: master_key: the key is empty: give it a key, or leave it out"),
        ProblemRow("master_key_file: /k", files: ["/k": "change-me\r\n"]),
    ]
}
