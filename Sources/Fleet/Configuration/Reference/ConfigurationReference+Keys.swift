extension ConfigurationReference {
    private static let aDay: Duration = .seconds(86_400)

    /// The daemon as a whole.
    static let daemonKeys: [KeyDescription] = [
        KeyDescription(
            "listen", .addresses, default: "127.0.0.1:8080", reload: .newGateway,
            example: "[127.0.0.1:8080, unix:/run/stoker/gateway.sock]",
            """
            Where the gateway takes clients. `:8080` is every IPv4 interface, `[::]:8080` every interface; port 0 lets \
            the kernel choose. An address that others can reach needs a master key, or `allow_unauthenticated: true`.
            """),
        KeyDescription(
            "admin.listen", .addresses, default: "127.0.0.1:8081", reload: .restart, example: "127.0.0.1:8081",
            "Where the dashboard, status and metrics are, beside `admin.sock` in the runtime directory."),
        KeyDescription(
            "admin.token_file", .path, default: "`admin.token` in the state directory", reload: .live,
            example: "/etc/stoker/admin.token",
            """
            The file with the admin token; without it one is made at the first start. Never the master key. A systemd \
            credential named `admin_token` is used when this is not given.
            """),
        KeyDescription(
            "master_key", .secret, example: "${STOKER_MASTER_KEY}",
            """
            The key that clients must show. Better in a file or in the environment than written here; the systemd \
            credential `master_key` is used when neither this nor `master_key_file` is given.
            """),
        KeyDescription(
            "master_key_file", .path, example: "/etc/stoker/master.key",
            "The file with the master key; a newline at its end is not part of the key."),
        KeyDescription(
            "allow_unauthenticated", .boolean, default: "false", example: "true",
            "Lets a gateway that others can reach run without a master key. Anybody who reaches it can use the models."),
        KeyDescription(
            "mode", .choice(Configuration.Mode.allCases.map(\.rawValue)), default: "supervise", reload: .live,
            example: "attach-only",
            "`attach-only`: servers are only probed and routed to, nothing is ever launched or signalled."),
        KeyDescription(
            "ready_when", .choice(Configuration.ReadyWhen.allCases.map(\.rawValue)), default: "any", example: "all",
            "When `READY=1` is sent and `/ready` answers 200: one instance is ready, all are, or the gateway listens."),
        KeyDescription(
            "starts_at_once", .integer(0...1000), default: "2", example: "4",
            """
            How many launched instances may be on their way to the end of reading their weights at one time; the others \
            wait for their turn. 0 is no limit. Starts on one GPU come one after another in any case.
            """),
    ]

    /// How health is asked.
    static let healthKeys: [KeyDescription] = [
        KeyDescription(
            "health.interval", .duration(.milliseconds(100)...(.seconds(3600))), default: "2s", example: "5s",
            "Between two rounds of probes of a ready instance."),
        KeyDescription(
            "health.timeout", .duration(.milliseconds(100)...(.seconds(600))), default: "5s", example: "10s",
            "For one probe."),
        KeyDescription(
            "health.unhealthy_after", .integer(1...1000), default: "3", example: "5",
            "Failed probes in a row that make an instance unhealthy."),
        KeyDescription(
            "health.healthy_after", .integer(1...1000), default: "1", example: "2",
            "Successful probes in a row that make it healthy again."),
        KeyDescription(
            "health.hang_after", .duration(.seconds(1)...aDay), default: "60s", example: "2m",
            """
            How long work may be in flight without a byte on any stream and without a counter moving before a canary \
            decides whether the engine hangs. Below 60s a long graph capture looks like a hang.
            """),
        KeyDescription(
            "health.canary", .choice(HealthConfiguration.Canary.allCases.map(\.rawValue)), default: "idle",
            example: "off",
            "When a real one-token request is made of a ready instance: while it is idle, or only to confirm a hang."),
    ]

    /// The gateway: limits, timeouts, routing, its process.
    static let gatewayKeys: [KeyDescription] = [
        KeyDescription(
            "limits.body", .size((1 << 10)...(1 << 40)), default: "32MiB", example: "64MiB",
            "The largest request body; a larger one is 413."),
        KeyDescription(
            "limits.body_memory", .size((1 << 10)...(1 << 42)), default: "1GiB", example: "4GiB",
            "All request bodies that are kept at one time; above it, reading pauses. At least `limits.body`."),
        KeyDescription(
            "limits.header", .size((1 << 10)...(16 << 20)), default: "64KiB", example: "32KiB",
            "The largest request head; a larger one is 431."),
        KeyDescription(
            "limits.streams_per_instance", .integer(0...1_000_000), default: "0", example: "256",
            "Requests in flight on one instance; 0 is no limit."),
        KeyDescription(
            "limits.queue", .integer(0...1_000_000), default: "0", example: "1000",
            "Requests that may wait while every instance is full; 0 answers 429 at once."),
        KeyDescription(
            "limits.queue_timeout", .duration(.milliseconds(1)...aDay), default: "30s", example: "1m",
            "How long a request may wait in the queue before it is 503."),
        KeyDescription(
            "limits.connections", .integer(0...1_000_000), default: "0", example: "10000",
            """
            Connections of clients at one time; more wait until one is free. 0 is what the limit of open files allows, at most 32768.
            """),
        KeyDescription(
            "timeouts.connect", .duration(.milliseconds(1)...(.seconds(600))), default: "2s", example: "5s",
            "For connecting to an instance."),
        KeyDescription(
            "timeouts.first_byte", .duration(.zero...aDay), default: "0", example: "5m",
            "To the first byte of an answer's body, after which the request is 504; 0 is no limit."),
        KeyDescription(
            "timeouts.stream_idle", .duration(.zero...aDay), default: "300s", example: "10m",
            "How long a stream may be silent after its first byte; 0 is no limit."),
        KeyDescription(
            "timeouts.slow_reader", .duration(.zero...aDay), default: "60s", example: "30s",
            "How long a client may take nothing of what waits for it before it is cut off; 0 is no limit."),
        KeyDescription(
            "routing.policy", .choice(RoutingConfiguration.Policy.allCases.map(\.rawValue)),
            default: "least_inflight", example: "least_inflight",
            "How an instance is chosen: the fewest requests in flight, ties at random."),
        KeyDescription(
            "gateway.loops", .integer(1...256), default: "2", reload: .newGateway, example: "4",
            "Event loops (threads) of the gateway."),
        KeyDescription(
            "gateway.drain", .duration(.zero...(.seconds(7 * 86_400))), default: "1h", example: "10m",
            "How long the streams of a gateway that was replaced may go on."),
        KeyDescription(
            "gateway.memory", .size((128 << 20)...(1 << 42)), default: "4GiB, or twice `limits.body_memory`",
            example: "8GiB",
            """
            The resident memory above which a gateway process is replaced: another one takes its place, and its streams \
            go on to their end. At half as much again it is killed.
            """),
        KeyDescription(
            "tls.certificate_file", .path, example: "/etc/stoker/tls.pem",
            """
            The certificate of the gateway's TCP addresses, PEM, with those that lead to its root behind it: they \
            speak TLS 1.2 or newer and nothing else. Unix sockets stay plain. Read again when the file changes.
            """),
        KeyDescription(
            "tls.key_file", .path, default: "`tls.certificate_file`", example: "/etc/stoker/tls.key",
            "The private key, PEM. Read again when the file changes."),
        KeyDescription(
            "cors.origins", .texts, example: "[\"https://chat.example.com\"]",
            """
            Origins whose pages may use the gateway from a browser, each as browsers send it, or `*`. A key is still \
            needed where one is configured.
            """),
        KeyDescription(
            "access_log", .text, default: "off", example: "/var/log/stoker/access.jsonl",
            """
            One JSON object a line for each request, without bodies and keys: `off`, `stderr`, or a file's absolute \
            path. A file that was moved away is opened anew.
            """),
    ]

    /// Every provider, and those that are attached.
    static let providerKeys: [KeyDescription] = [
        KeyDescription(
            "providers.*.type", .choice(["vllm"]), default: "vllm", example: "vllm",
            "The kind of server. May be left out."),
        KeyDescription(
            "providers.*.models", .texts, example: "[org/extra-model]",
            "Model ids used where `/v1/models` cannot be asked, and known from the start."),
        KeyDescription(
            "providers.*.passthrough_allow", .texts, example: "[\"POST /sleep\"]",
            "Routes that `/p/{name}/…` lets through beside the default ones, each as `METHOD /path`."),
        KeyDescription(
            "providers.*.base_url", .url, reload: .replacesInstances, example: "http://10.0.0.7:8000/v1",
            """
            Attached: where the server is, with or without `/v1`; a path in front of it is kept, \
            `unix:/run/vllm.sock` is a Unix socket. A provider has this or `model`. Keys do not belong into it.
            """),
        KeyDescription(
            "providers.*.api_key", .secret, example: "${VLLM_TEST_API_KEY}",
            """
            Attached: the key that the server wants. The systemd credential `NAME_api_key` (`vllm-test_api_key`) is \
            used when neither this nor `api_key_file` is given.
            """),
        KeyDescription(
            "providers.*.api_key_file", .path, example: "/etc/stoker/vllm-test.key",
            "Attached: the file with that key; a newline at its end is not part of the key."),
        KeyDescription(
            "providers.*.ca_file", .path, default: "the system's roots", example: "/etc/stoker/ca.pem",
            "Attached, https: a PEM file of the roots to trust instead of the system's."),
    ]

    /// Providers that are launched here.
    static let launchKeys: [KeyDescription] = [
        KeyDescription(
            "providers.*.model", .text, reload: .replacesInstances, example: "meta-llama/Llama-3.1-8B-Instruct",
            "Launched: the model, a hub id or a path. A provider has this or `base_url`."),
        KeyDescription(
            "providers.*.replicas", .integer(1...256), default: "1", example: "2",
            "Launched: how many instances, `NAME-0`, `NAME-1` and so on."),
        KeyDescription(
            "providers.*.gpus", .gpus, default: "1 where there is a GPU, else 0", reload: .replacesInstances,
            example: "[\"0\", \"1\"]",
            """
            Launched: the GPUs of each replica, a number or a list of indices or UUIDs. Numbers never share a GPU. \
            Providers may list the same GPU when each names its share in `args`: `--gpu-memory-utilization`, whose sum \
            on a GPU is at most 1, or `--kv-cache-memory-bytes`.
            """),
        KeyDescription(
            "providers.*.args", .texts, reload: .replacesInstances, example: "[--max-model-len, \"8192\"]",
            """
            Launched: arguments after the model. What Stoker sets itself is an error: `--host`, `--port`, `--uds`, \
            `--api-key`, `--ssl-*`, `--root-path`.
            """),
        KeyDescription(
            "providers.*.env", .environment, reload: .replacesInstances, example: "{ HF_HOME: /var/lib/stoker/hf }",
            """
            Launched: environment variables of the server. Values of names that contain KEY, TOKEN, SECRET or PASSWORD \
            are secret.
            """),
        KeyDescription(
            "providers.*.command", .texts, default: "[vllm, serve]", reload: .replacesInstances,
            example: "[/opt/vllm/bin/vllm, serve]",
            "Launched: what runs before the model. Containers and remote shells are errors: attach to their server."),
        KeyDescription(
            "providers.*.transport", .choice(LaunchConfiguration.Transport.allCases.map(\.rawValue)),
            default: "unix", reload: .replacesInstances, example: "tcp",
            "Launched: how the gateway reaches the server: a Unix socket, or a port on 127.0.0.1."),
        KeyDescription(
            "providers.*.restart.backoff", .durationRange, default: "1s..5m", example: "5s..10m",
            "Launched: the first and the longest pause before a start after an exit; it doubles in between."),
        KeyDescription(
            "providers.*.restart.budget", .budget, default: "5 in 10m", example: "3 in 1h",
            "Launched: crashes after ready that are borne in a time; one more and the instance is `failed`."),
        KeyDescription(
            "providers.*.restart.start_budget", .integer(1...1000), default: "3", example: "5",
            "Launched: starts in a row that never got ready before the instance is `failed`."),
        KeyDescription(
            "providers.*.timeouts.start_stall", .duration(.seconds(1)...aDay), default: "10m", example: "20m",
            "Launched: a start without any progress for this long is ended."),
        KeyDescription(
            "providers.*.timeouts.start_max", .duration(.seconds(1)...(.seconds(7 * 86_400))), default: "2h",
            example: "4h",
            "Launched: a start is ended after this long, progress or not."),
        KeyDescription(
            "providers.*.timeouts.drain", .duration(.zero...aDay), default: "60s", example: "5m",
            "Launched: how long what is in flight may go on before SIGTERM."),
        KeyDescription(
            "providers.*.timeouts.stop", .duration(.zero...aDay), default: "30s", example: "1m",
            "Launched: from SIGTERM to the killing of the whole tree."),
        KeyDescription(
            "providers.*.warmup", .choice(LaunchConfiguration.Warmup.allCases.map(\.rawValue)), default: "auto",
            example: "none",
            "Launched: whether a real one-token request is made before `ready`."),
    ]
}
