import Testing

@testable import Health

@Suite("Why an engine ended")
struct FailureExplanationTests {
    private static let core = "(EngineCore pid=19326) ERROR 11-22 09:54:15 [core.py:1509] "
    private static let api = "(APIServer pid=17731) "

    private static let wrapper = [
        api + "Traceback (most recent call last):",
        api + "  File \"/x/vllm/entrypoints/cli/main.py\", line 1, in main",
        api + "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ]

    private static func traceback(_ message: String) -> [String] {
        [
            core + "EngineCore failed to start.", core + "Traceback (most recent call last):",
            core + "  File \"/x/core.py\", line 1, in run", core + "    raise X", core + message,
        ] + wrapper
    }

    @Test(
        "Causes that the log names",
        arguments: [
            (
                "ValueError: Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory utilization (0.9, 71.3 GiB).",
                "gpu_memory_taken", false
            ),
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "gpu_out_of_memory", false),
            (
                "ValueError: To serve at least one request with the model's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (7.91 GiB).",
                "kv_cache_too_small", false
            ),
            (
                "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
                "kv_cache_too_small", false
            ),
            ("OSError: [Errno 98] Address already in use", "port_taken", false),
            (
                "OSError: org/x is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
                "model_not_found", true
            ),
            (
                "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/nonexist/model'.",
                "model_not_found", true
            ),
            ("OSError: You are trying to access a gated repo.", "model_gated", true),
            ("OSError: [Errno 28] No space left on device: '/dev/shm/psm_1'", "shared_memory", false),
            ("OSError: [Errno 28] No space left on device", "disk_full", false),
            ("ModuleNotFoundError: No module named 'flashinfer'", "missing_module", false),
            ("RuntimeError: Found no NVIDIA driver on your system.", "no_gpu", false),
            (
                "  Value error, User-specified max_model_len (9999) is greater than the derived max_model_len",
                "arguments", true
            ),
            ("ZeroDivisionError: division by zero", "python_error", false),
        ])
    func causes(message: String, kind: String, isPermanent: Bool) {
        let explained = FailureExplanation.explain(log: Self.traceback(message), end: .code(1), duringStart: true)
        #expect(explained.kind.rawValue == kind)
        #expect(explained.isPermanent == isPermanent)
        #expect(explained.lines.contains { $0.contains(message.prefix(40)) })
        #expect(explained.lines.count <= FailureExplanation.maximumLines)
        #expect(!explained.detail.isEmpty && explained.hint != nil)
    }

    @Test("argparse's words")
    func arguments() {
        let log = ["usage: vllm [-h] [-v]", "            ...", "vllm: error: unrecognized arguments: --frobnicate"]
        let explained = FailureExplanation.explain(log: log, end: .code(2), duringStart: true)
        #expect(explained.kind == .arguments && explained.isPermanent)
        #expect(explained.detail == "vllm: error: unrecognized arguments: --frobnicate")
    }

    @Test("The exception of the engine, not of those who wait for it")
    func rootCause() {
        let log = Self.traceback("ZeroDivisionError: division by zero")
        let explained = FailureExplanation.explain(log: log, end: .code(1), duringStart: true)
        #expect(explained.detail == "ZeroDivisionError: division by zero")
    }

    @Test("Signals", arguments: [(9, "killed"), (4, "illegal_instruction"), (7, "shared_memory"), (11, "crashed")])
    func signals(number: Int32, kind: String) {
        let explained = FailureExplanation.explain(log: ["INFO a", "INFO b"], end: .signal(number), duringStart: false)
        #expect(explained.kind.rawValue == kind)
        #expect(explained.lines == ["INFO a", "INFO b"])
        #expect(!explained.isPermanent)
    }

    @Test("Exit 0 that nobody asked for, with a dead engine in the log")
    func engineDied() {
        let log = [
            Self.api + "ERROR 11-22 [async_llm.py:1] AsyncLLM output_handler failed.", Self.api + "EngineDeadError",
        ]
        #expect(FailureExplanation.explain(log: log, end: .code(0), duringStart: false).kind == .engineDied)
    }

    @Test("A killed engine, as vLLM 0.32 tells it: the first line that says so, not the wrappers' tracebacks")
    func engineKilled() {
        let death = "[core_client.py:817] [shutdown] MPClient: engine core exited unexpectedly; starting cleanup"
        let log =
            [Self.api + "WARNING 11-22 10:40:02 " + death]
            + ["(APIServer pid=1) Traceback (most recent call last):", "(APIServer pid=1) EngineDeadError: EngineCore"]
        let explained = FailureExplanation.explain(log: log, end: .code(0), duringStart: false)
        #expect(explained.kind == .engineDied)
        #expect(explained.lines.contains { $0.contains("exited unexpectedly") })
    }

    @Test("Nothing in the log at all")
    func silent() {
        let explained = FailureExplanation.explain(log: [], end: .unknown, duringStart: true)
        #expect(explained.kind == .exited)
        #expect(explained.detail.contains("unknown (adopted)"))
        #expect(FailureExplanation.explain(log: [], end: .code(127), duringStart: true).kind == .launch)
    }

    @Test("After it listened, what a client wrote into the log makes nothing permanent")
    func quoted() {
        let quoted = "INFO Received request: prompt: 'vllm: error: unrecognized arguments: you access a gated repo'"
        #expect(!FailureExplanation.explain(log: [quoted], end: .code(1), duringStart: false).isPermanent)
        let log = ["vllm: error: unrecognized arguments", "INFO:     Application startup complete.", quoted]
        let explained = FailureExplanation.explain(log: log, end: .code(1), duringStart: true)
        #expect(!explained.isPermanent && explained.kind == .exited)
    }

    @Test("Escape sequences, carriage returns and endless lines")
    func text() {
        #expect(LogText.plain("\u{1b}[31mred\u{1b}[0m\u{7}") == "red")
        #expect(LogText.plain("\rLoading 1%\rLoading 2%\r") == "Loading 2%")
        let long = String(repeating: "x", count: 100_000)
        let explained = FailureExplanation.explain(log: [long], end: .code(1), duringStart: true)
        #expect(explained.lines[0].count <= FailureExplanation.maximumLineLength + 1)
    }
}
