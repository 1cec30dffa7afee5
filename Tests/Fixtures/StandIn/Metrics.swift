import Synchronization

/// `/metrics`: the names, labels and types of vLLM 0.32.0. What moves comes from the engine's last message; what the
/// stand-in has no use for stays at zero.
final class Metrics: Sendable {
    private let model: String
    private let frozen = Mutex<EngineLink.Counters?>(nil)

    init(options: Options) { model = options.names[0] }

    private static let zeroCounters = [
        "estimated_flops_per_gpu", "estimated_read_bytes_per_gpu", "estimated_write_bytes_per_gpu",
        "external_prefix_cache_queries", "external_prefix_cache_hits", "mm_cache_queries", "mm_cache_hits",
        "num_preemptions",
    ]

    func text(_ current: EngineLink.Counters, handled: [String: Int], frozen stopped: Bool) -> String {
        // While the counters are frozen, the values of the moment at which that began.
        let counters = frozen.withLock { kept in
            kept = stopped ? kept ?? current : nil
            return kept ?? current
        }
        var page = Page(model: model)
        for name in Self.zeroCounters { page.counter("\(name)_total", 0) }
        page.gauge("num_requests_running", counters.running)
        page.gauge("num_requests_waiting", counters.waiting)
        page.family("num_requests_waiting_by_reason", "gauge")
        page.sample("num_requests_waiting_by_reason", ["reason": "capacity"], Double(counters.waiting))
        page.sample("num_requests_waiting_by_reason", ["reason": "deferred"], 0)
        page.family("engine_sleep_state", "gauge")
        for (state, value) in [("awake", 1.0), ("weights_offloaded", 0), ("discard_all", 0)] {
            page.sample("engine_sleep_state", ["sleep_state": state], value)
        }
        page.family("kv_cache_usage_perc", "gauge")
        page.sample("kv_cache_usage_perc", [:], min(1, Double(counters.running) * 0.001))
        page.counter("prefix_cache_queries_total", counters.cacheQueries)
        page.counter("prefix_cache_hits_total", counters.cacheHits)
        page.counter("prompt_tokens_total", counters.promptTokens)
        page.counter(
            "prompt_tokens_by_source_total", label: "source",
            [
                ("local_compute", counters.promptTokens - counters.cacheHits), ("local_cache_hit", counters.cacheHits),
                ("external_kv_transfer", 0),
            ])
        page.counter("prompt_tokens_cached_total", counters.cacheHits)
        page.counter(
            "prompt_tokens_cached_by_source_total", label: "source",
            [("device", counters.cacheHits), ("host", 0), ("p2p", 0), ("disk", 0), ("external_unspecified", 0)])
        page.counter("generation_tokens_total", counters.tokens)
        page.counter(
            "request_success_total", label: "finished_reason",
            ["stop", "length", "abort", "error", "repetition"].map { ($0, counters.finished[$0] ?? 0) })
        page.family("admission_rejections_total", "counter")
        for reason in ["max_num_queued_reqs", "max_num_queued_tokens"] {
            page.line("vllm:admission_rejections_total{model_name=\"\(model)\",reason=\"\(reason)\"} 0.0")
        }
        let done = counters.finished["length"] ?? 0
        page.histogram("request_prompt_tokens", count: done, sum: Double(counters.promptTokens))
        page.histogram("request_generation_tokens", count: done, sum: Double(counters.tokens))
        page.histogram(
            "iteration_tokens_total", count: counters.steps, sum: Double(counters.tokens + counters.promptTokens))
        for name in [
            "request_max_num_generation_tokens", "request_params_n", "request_params_max_tokens",
            "time_to_first_token_seconds",
        ] {
            page.histogram(name, count: done, sum: Double(done) * 0.01)
        }
        page.histogram(
            "inter_token_latency_seconds", count: max(0, counters.tokens - done),
            sum: Double(max(0, counters.tokens - done)) * 0.001)
        for name in [
            "request_time_per_output_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
            "request_inference_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds",
            "request_num_preemptions", "request_prefill_kv_computed_tokens",
        ] {
            page.histogram(name, count: done, sum: Double(done) * 0.01)
        }
        page.family("cache_config_info", "gauge")
        let configuration = Self.cacheConfiguration.merging(["engine": "0"]) { mine, _ in mine }
        page.line("vllm:cache_config_info{\(Page.list(configuration))} 1.0")
        page.handled(handled)
        return page.text
    }

    private static let cacheConfiguration: [String: String] = [
        "_block_size_resolved": "True", "block_size": "128", "cache_dtype": "auto",
        "cache_hit_alignment_tokens": "None", "effective_attention_block_size": "128",
        "enable_mamba_shared_prefix_checkpoint": "False", "enable_prefix_caching": "True",
        "gpu_memory_utilization": "0.92", "hash_block_size": "None", "is_attention_free": "False",
        "kv_cache_dtype_skip_layers": "[]", "kv_cache_layout": "None", "kv_cache_max_concurrency": "1024.0",
        "kv_cache_memory_bytes": "1073741824", "kv_cache_size_tokens": "1048576",
        "kv_offloading_backend": "native", "kv_offloading_size": "None", "kv_sharing_fast_prefill": "False",
        "mamba_block_size": "None", "mamba_cache_dtype": "auto", "mamba_cache_mode": "none",
        "mamba_page_size_padded": "None", "mamba_ssm_cache_dtype": "float32", "num_cpu_blocks": "None",
        "num_gpu_blocks": "8192", "num_gpu_blocks_override": "None", "prefix_cache_retention_interval": "0",
        "prefix_caching_hash_algo": "sha256", "prefix_match_unit": "None", "replayssm_buffer_len": "16",
        "skip_page_size_padded": "None", "sliding_window": "None", "swa_bounded_replay": "True",
        "use_kda_recoverssm": "False", "use_replayssm": "False", "user_specified_block_size": "False",
    ]
}

/// The text of a scrape while it is written.
private struct Page {
    let model: String
    private(set) var text = ""

    init(model: String) { self.model = model }

    mutating func line(_ line: String) { text += line + "\n" }

    mutating func family(_ name: String, _ type: String) {
        line("# HELP vllm:\(name) \(name.split(separator: "_").joined(separator: " ")).")
        line("# TYPE vllm:\(name) \(type)")
    }

    mutating func sample(_ name: String, _ labels: [String: String], _ value: Double) {
        let all = labels.merging(["engine": "0", "model_name": model]) { mine, _ in mine }
        line("vllm:\(name){\(Self.list(all))} \(value)")
    }

    static func list(_ labels: [String: String]) -> String {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: ",")
    }

    mutating func gauge(_ name: String, _ value: Int64) {
        family(name, "gauge")
        sample(name, [:], Double(value))
    }

    mutating func counter(_ name: String, _ value: Int64) {
        family(name, "counter")
        sample(name, [:], Double(value))
    }

    mutating func counter(_ name: String, label: String, _ values: [(String, Int64)]) {
        family(name, "counter")
        for (value, count) in values { sample(name, [label: value], Double(count)) }
    }

    mutating func histogram(_ name: String, count: Int64, sum: Double) {
        family(name, "histogram")
        for bound in ["1.0", "10.0", "100.0", "1000.0", "+Inf"] {
            sample("\(name)_bucket", ["le": bound], Double(count))
        }
        sample("\(name)_count", [:], Double(count))
        sample("\(name)_sum", [:], sum)
    }

    mutating func handled(_ counts: [String: Int]) {
        line("# HELP http_requests_total Total number of requests by method, status and handler.")
        line("# TYPE http_requests_total counter")
        for (key, count) in counts.sorted(by: { $0.key < $1.key }) {
            let parts = key.split(separator: " ").map(String.init)
            guard parts.count == 3, !["/health", "/ping", "/metrics", "/version", "/load"].contains(parts[0]) else {
                continue
            }
            let labels = "handler=\"\(parts[0])\",method=\"\(parts[1])\",status=\"\(parts[2])\""
            line("http_requests_total{\(labels)} \(Double(count))")
        }
    }
}
