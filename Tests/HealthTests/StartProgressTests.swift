import Fleet
import Testing

@testable import Health

@Suite("A start's progress")
struct StartProgressTests {
    private let began = Instant(nanoseconds: 1_000_000_000_000)
    private func make() -> StartProgress { StartProgress(stall: .seconds(600), began: began) }
    private func at(_ seconds: Int) -> Instant { began + .seconds(seconds) }

    @Test("Nothing at all: stalled after the limit")
    func nothing() {
        let progress = make()
        #expect(!progress.isStalled(at: at(599)))
        #expect(progress.isStalled(at: at(600)))
        #expect(progress.summary == "loading")
    }

    @Test("New lines are progress, the same line with other numbers is not")
    func lines() {
        var progress = make()
        let spin = "(EngineCore pid=7) INFO 11-22 09:5%:0% [shm_broadcast.py:542] No available shared memory broadcast "
        for minute in 0..<30 {
            let line = spin.replacing("%", with: "\(minute)") + "block found in \(minute * 60).5 seconds."
            progress.observe(line: line, at: at(minute * 60))
        }
        #expect(progress.lastProgress == at(0))
        #expect(progress.isStalled(at: at(700)))
        progress.observe(line: "INFO something else", at: at(800))
        #expect(progress.lastProgress == at(800))
    }

    @Test("A spinning process: CPU time stretches the limit threefold, no more")
    func spinning() {
        var progress = make()
        var stalledAt: Int?
        for second in stride(from: 0, through: 3000, by: 5) {
            progress.observe(
                sample: StartProgress.Sample(
                    ioBytes: 1000 + UInt64(second), memoryBytes: 4 << 30, cpuTime: .seconds(second)),
                at: at(second))
            if stalledAt == nil, progress.isStalled(at: at(second)) { stalledAt = second }
        }
        #expect(stalledAt == 1800)
    }

    @Test("CPU time of a tenth is work, less is waiting; work long ago stretches nothing")
    func waiting() {
        var progress = make()
        for second in stride(from: 0, through: 600, by: 5) {
            progress.observe(sample: StartProgress.Sample(cpuTime: .milliseconds(second * 20)), at: at(second))
        }
        #expect(progress.isStalled(at: at(600)))
        var other = make()
        other.observe(sample: StartProgress.Sample(cpuTime: .seconds(0)), at: at(0))
        other.observe(sample: StartProgress.Sample(cpuTime: .seconds(100)), at: at(100))
        #expect(other.isStalled(at: at(600)))
    }

    @Test("Bytes and memory")
    func resources() {
        var progress = make()
        progress.observe(sample: StartProgress.Sample(ioBytes: 5 << 30, memoryBytes: 1 << 30), at: at(10))
        #expect(progress.lastProgress == began)
        progress.observe(sample: StartProgress.Sample(ioBytes: 5 << 30 + 1000, memoryBytes: 1 << 30 + 1000), at: at(20))
        #expect(progress.lastProgress == began)
        progress.observe(sample: StartProgress.Sample(ioBytes: 5 << 30 + 2 << 20, memoryBytes: 1 << 30), at: at(30))
        #expect(progress.lastProgress == at(30))
        progress.observe(sample: StartProgress.Sample(ioBytes: 5 << 30 + 2 << 20, memoryBytes: 1 << 29), at: at(40))
        #expect(progress.lastProgress == at(40))
        // A process left and took its count along: no progress, and no trap.
        progress.observe(sample: StartProgress.Sample(ioBytes: 5, memoryBytes: 0, cpuTime: .seconds(9)), at: at(50))
        progress.observe(sample: StartProgress.Sample(ioBytes: 4, memoryBytes: 0, cpuTime: .seconds(1)), at: at(60))
        #expect(progress.lastProgress == at(50))
    }

    @Test("Once it listens, the bytes are those of our own probes")
    func listening() {
        var progress = make()
        progress.observe(line: "INFO:     Application startup complete.", at: at(1))
        for second in stride(from: 2, through: 600, by: 2) {
            progress.observe(sample: StartProgress.Sample(ioBytes: UInt64(second) << 20), at: at(second))
        }
        #expect(progress.lastProgress == at(1))
    }

    @Test("Thirty minutes of honest progress are never stalled")
    func honest() {
        var progress = make()
        for minute in 0..<30 {
            progress.observe(
                line: "Loading safetensors checkpoint shards:  \(minute * 3)% Completed | \(minute)/33",
                at: at(minute * 60))
            #expect(!progress.isStalled(at: at(minute * 60 + 59)))
        }
        #expect(progress.percent == 87 && progress.phase == .weights)
        #expect(progress.summary == "loading (weights, 87 %)")
        #expect(progress.isStalled(at: at(29 * 60 + 600)))
    }

    @Test(
        "Phases and percentages of vLLM's own lines",
        arguments: [
            (
                "(APIServer pid=1) INFO 11-22 09:53:57 [model.py:733] Resolved architecture: LlamaForCausalLM",
                "starting", -1
            ),
            (
                "(EngineCore pid=9) INFO 11-22 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config:",
                "engine", -1
            ),
            ("INFO [gpu_model_runner.py:5040] Starting to load model org/m...", "weights", -1),
            ("Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:01<00:02,  1.5it/s]", "weights", 43),
            ("\r\rLoading safetensors checkpoint shards: 100% Completed | 7/7 [00:04<00:00]\r", "weights", 100),
            ("INFO [weight_utils.py:1043] Prefetching checkpoint files: 20% (1/5)", "weights", 20),
            ("INFO [default_loader.py:502] Loading weights took 2.10 seconds", "weights", -1),
            ("INFO [backends.py:399] Compiling a graph for compile range (1, 2048) takes 12.00 s", "compile", -1),
            ("INFO [gpu_worker.py:760] Available KV cache memory: 20.1 GiB", "kv cache", -1),
            ("INFO [kv_cache_utils.py:2328] GPU KV cache size: 1,048,576 tokens", "kv cache", -1),
            (
                "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  43%|████▎     | 29/67 [00:02<00:02]",
                "graphs", 43
            ),
            ("INFO [api_server.py] Starting vLLM server on http://0.0.0.0:8000", "server", -1),
            ("INFO:     Application startup complete.", "listening", -1),
        ])
    func phases(line: String, phase: String, percent: Int) {
        var progress = make()
        progress.observe(line: line, at: at(1))
        #expect(progress.phase?.rawValue == phase)
        #expect(progress.percent == (percent < 0 ? nil : percent))
    }

    @Test(
        "A percentage that is no bar is none",
        arguments: ["10% faster", "0.5%|", "1000%|", "%|", "9999% Completed", "a%"])
    func noBars(line: String) { #expect(StartPhase.percent(in: line) == nil) }

    @Test("What is said to be disabled is no phase")
    func disabled() {
        let words = "Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup."
        #expect(StartPhase.announced(by: words) == nil)
    }

    @Test("A phase's bar leaves with it; after listening nothing changes the phase")
    func transitions() {
        var progress = make()
        progress.observe(line: "Loading safetensors checkpoint shards:  43% Completed | 3/7", at: at(1))
        progress.observe(line: "Available KV cache memory: 1 GiB", at: at(2))
        #expect(progress.phase == .cache && progress.percent == nil)
        progress.observe(line: "Application startup complete.", at: at(3))
        progress.observe(line: "Loading safetensors x", at: at(4))
        #expect(progress.phase == .listening)
    }

    @Test("A log that is never the same stays bounded")
    func bounded() {
        var progress = make()
        var generator = SeededGenerator(state: 1)
        for index in 0..<6000 {
            let letters = (0..<8).map { _ in Character(Unicode.Scalar(UInt8.random(in: 97...122, using: &generator))) }
            progress.observe(line: String(letters), at: at(index))
        }
        #expect(progress.lastProgress == at(5999))
    }
}
