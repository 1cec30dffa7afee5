import Testing

@testable import Health

@Suite("Reading /metrics")
struct MetricsTests {
    private func parse(_ text: String) -> EngineCounters { EngineMetrics.parse(Array(text.utf8)) }

    /// Lines as vLLM 0.32.0 writes them.
    @Test("vLLM's own text")
    func real() {
        let counters = parse(
            """
            # HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
            # TYPE process_start_time_seconds gauge
            process_start_time_seconds 1.79534121123e+09
            vllm:num_requests_running{engine="0",model_name="tiny/llama"} 2.0
            vllm:num_requests_waiting{engine="0",model_name="tiny/llama"} 1.0
            vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny/llama",reason="capacity"} 9.0
            vllm:engine_sleep_state{engine="0",model_name="tiny/llama",sleep_state="awake"} 1.0
            vllm:engine_sleep_state{engine="0",model_name="tiny/llama",sleep_state="weights_offloaded"} 0.0
            vllm:engine_sleep_state{engine="0",model_name="tiny/llama",sleep_state="discard_all"} 0.0
            vllm:kv_cache_usage_perc{engine="0",model_name="tiny/llama"} 0.25
            vllm:prefix_cache_queries_total{engine="0",model_name="tiny/llama"} 11.0
            vllm:prefix_cache_queries_created{engine="0",model_name="tiny/llama"} 1.79e+09
            vllm:prefix_cache_hits_total{engine="0",model_name="tiny/llama"} 3.0
            vllm:generation_tokens_total{engine="0",model_name="tiny/llama"} 7.0
            vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="tiny/llama"} 4.0
            vllm:iteration_tokens_total_count{engine="0",model_name="tiny/llama"} 5.0
            vllm:iteration_tokens_total_sum{engine="0",model_name="tiny/llama"} 20.0

            """)
        #expect(counters.processStart == 1.79534121123e+09)
        #expect(counters.running == 2 && counters.waiting == 1 && counters.requests == 3)
        #expect(counters.isAsleep == false)
        #expect(counters.kvCacheUsage == 0.25)
        #expect(counters.prefixCacheQueries == 11 && counters.prefixCacheHits == 3)
        #expect(counters.generationTokens == 7 && counters.iterations == 5)
        #expect(counters.promptTokens == nil)
        #expect(counters.hasHeartbeat && counters.isVLLM)
    }

    @Test("Several engines: counts add up, usage is their mean, one that sleeps sleeps")
    func engines() {
        let counters = parse(
            """
            vllm:iteration_tokens_total_count{engine="0"} 5
            vllm:iteration_tokens_total_count{engine="1"} 6
            vllm:kv_cache_usage_perc{engine="0"} 0.2
            vllm:kv_cache_usage_perc{engine="1"} 0.4
            vllm:engine_sleep_state{engine="0",sleep_state="awake"} 1
            vllm:engine_sleep_state{engine="1",sleep_state="awake"} 0
            """)
        #expect(counters.iterations == 11)
        #expect(abs((counters.kvCacheUsage ?? 0) - 0.3) < 1e-9)
        #expect(counters.isAsleep == true)
    }

    @Test("Labels with escapes, braces and blanks; timestamps; carriage returns; exemplars")
    func syntax() {
        #expect(parse(#"vllm:num_requests_running{a="x\"}\\",b="}"} 3 1700000000"#).running == 3)
        #expect(parse("vllm:num_requests_running { a = \"x\" , } 3\r\n").running == 3)
        #expect(parse("  vllm:num_requests_running\t3").running == 3)
        #expect(parse(#"vllm:iteration_tokens_total_count{} 1e3 # {trace_id="a"} 1"#).iterations == 1000)
    }

    @Test(
        "What makes no sense is missing, not 0",
        arguments: [
            "", "\n\n", "vllm:num_requests_running", "vllm:num_requests_running ", "vllm:num_requests_running NaN",
            "vllm:num_requests_running +Inf", "vllm:num_requests_running{a=\"x 3", "vllm:num_requests_running{a 3",
            "vllm:num_requests_running{a=\"\\", "xvllm:num_requests_running 3", "# vllm:num_requests_running 3",
            "vllm:num_requests_running three", "vllm:num_requests_running\u{0} 3", "{\"error\":1}",
        ])
    func garbage(text: String) {
        #expect(parse(text).running == nil)
        #expect(!parse(text).isVLLM)
    }

    @Test("Random bytes and cut texts never trap; a huge one is read")
    func hostile() {
        var generator = SeededGenerator(state: 5)
        let seedText = Array(#"vllm:engine_sleep_state{engine="0",sleep_state="awake"} 1.0"#.utf8)
        for _ in 0..<3000 {
            var bytes = seedText
            for _ in 0..<Int.random(in: 1..<6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = EngineMetrics.parse(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator))))
        }
        let filler = String(repeating: "other_metric{label=\"value\"} 1\n", count: 50_000)
        #expect(parse(filler + "vllm:num_requests_running 3\n").running == 3)
    }

    @Test("Movement")
    func movement() {
        var before = EngineCounters()
        var now = EngineCounters()
        #expect(now.movement(since: before) == .unknown)
        before.iterations = 5
        #expect(now.movement(since: before) == .unknown)
        now.iterations = 5
        #expect(now.movement(since: before) == .still)
        now.iterations = 6
        #expect(now.movement(since: before) == .moved)
        now.iterations = 4
        #expect(now.movement(since: before) == .restarted)
        now.iterations = 6
        before.processStart = 100
        now.processStart = 200
        #expect(now.movement(since: before) == .restarted)
        now.processStart = nil
        before.promptTokens = 1
        now.promptTokens = 1
        before.iterations = nil
        #expect(now.movement(since: before) == .unknown)
    }
}
