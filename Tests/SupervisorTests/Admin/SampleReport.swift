import Fleet

/// Reports with something of everything in them.
enum SampleReport {
    static var lively: StatusReport {
        var chat0 = InstanceStatus(
            id: "chat-0", run: 3, state: .ready, since: "2026-01-31T14:02:11Z", reason: "serves 2 models")
        chat0.published = true
        chat0.pid = 4711
        chat0.restarts = 2
        chat0.endpoint = "unix:/run/stoker/i/0.3.sock"
        chat0.gpus = ["0"]
        chat0.models = ["meta-llama/Llama-3.1-8B-Instruct", "sql-adapter"]
        chat0.inflight = 7
        chat0.checks = [
            .init(signal: .process, ok: true, ageSeconds: 0.2, detail: "6 processes"),
            .init(signal: .health, ok: true, ageSeconds: 1.1, detail: "200 in 3 ms"),
            .init(signal: .models, ok: true, ageSeconds: 1.1, detail: "2 models"),
            .init(signal: .progress, ok: true, ageSeconds: 0.4, detail: "tokens flow"),
            .init(signal: .canary, ok: true, ageSeconds: 312, detail: "one token in 41 ms"),
        ]
        chat0.load = .init(running: 6, waiting: 1, kvCacheUsage: 0.43, tokensPerSecond: 812.4)
        chat0.lastFailure = .init(
            at: "2026-01-31T13:59:30Z", kind: "hang", detail: "no token for 63 s with 4 requests in flight; killed",
            logTail: ["WARNING shm_broadcast.py: No available shared memory broadcast block found in 60 seconds."],
            hint: "Check the GPU with nvidia-smi and dmesg for Xid errors.")
        var chat1 = InstanceStatus(
            id: "chat-1", run: 1, state: .loading, since: "2026-01-31T14:03:40Z", reason: "loads its weights, 43 %")
        chat1.pid = 4822
        chat1.gpus = ["1"]
        chat1.progressPercent = 43
        chat1.phase = "weights"
        chat1.checks = [
            .init(signal: .process, ok: true, ageSeconds: 0.2, detail: "4 processes"),
            .init(signal: .progress, ok: true, ageSeconds: 0.9, detail: "the log grows"),
        ]
        var embed = InstanceStatus(
            id: "embed-0", run: 4, state: .failed, since: "2026-01-31T13:40:00Z",
            reason: "3 starts in a row never got ready: CUDA out of memory")
        embed.restarts = 3
        embed.lastFailure = .init(
            at: "2026-01-31T13:39:58Z", kind: "exit", detail: "exit code 1 after 12 s",
            logTail: [
                "INFO 01-31 13:39:51 [gpu_model_runner.py:1595] Starting to load model BAAI/bge-m3...",
                "ERROR torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. <b>GPU 0</b> is full.",
                "RuntimeError: Engine core initialization failed. See root cause above.",
            ],
            hint: "Lower --gpu-memory-utilization or give the model a GPU of its own, then 'stoker start embed-0'.")
        var attached = InstanceStatus(
            id: "vllm-test", run: 1, state: .misconfigured, since: "2026-01-31T14:00:00Z",
            reason: "the server answers 401: its key is missing or wrong (VLLM_TEST_API_KEY)")
        attached.endpoint = "http://10.0.0.7:8000"
        attached.checks = [.init(signal: .models, ok: false, ageSeconds: 1.7, detail: "401 Unauthorized")]
        return StatusReport(
            version: BuildInfo.version, mode: "supervise", ready: true,
            readyReason: "1/4 instances ready; chat-1 loading, 43 %", uptimeSeconds: 93_784, revision: 41,
            gateway: GatewayStatus(
                pid: 4700, inflight: 7, requestsTotal: 128_034, restarts: 1, listen: ["127.0.0.1:8080"]),
            providers: [
                ProviderStatus(name: "chat", kind: .launched, instances: [chat0, chat1]),
                ProviderStatus(name: "embed", kind: .launched, instances: [embed]),
                ProviderStatus(name: "vllm-test", kind: .attached, instances: [attached]),
            ],
            notices: ["The configuration file is invalid and was kept out: line 12, column 5."])
    }
}
