/// What one scrape of `/metrics` says about an engine. A value that the server does not give is nil, never 0:
/// a missing counter is not a frozen one.
public struct EngineCounters: Sendable, Hashable {
    /// `vllm:iteration_tokens_total_count`: the engine's steps, its heartbeat. Summed over engines.
    public var iterations: Double?
    /// `vllm:generation_tokens_total`, summed over engines.
    public var generationTokens: Double?
    /// `vllm:prompt_tokens_total`, summed over engines.
    public var promptTokens: Double?
    /// `vllm:num_requests_running`, summed over engines.
    public var running: Double?
    /// `vllm:num_requests_waiting`, summed over engines.
    public var waiting: Double?
    /// `vllm:kv_cache_usage_perc`, 0 to 1: the mean of the engines. The older `vllm:gpu_cache_usage_perc` is taken too.
    public var kvCacheUsage: Double?
    /// `vllm:prefix_cache_queries_total`, summed over engines.
    public var prefixCacheQueries: Double?
    /// `vllm:prefix_cache_hits_total`, summed over engines.
    public var prefixCacheHits: Double?
    /// `vllm:time_to_first_token_seconds`: requests whose first token came within a bound, by the bound in seconds; as
    /// Prometheus counts, each bound's with those of the lower ones. Summed over engines; empty where it is not given.
    public var firstTokens: [Double: Double] = [:]
    /// `vllm:engine_sleep_state`: true when an engine sleeps (its `awake` is 0).
    public var isAsleep: Bool?
    /// `process_start_time_seconds` of the API server.
    public var processStart: Double?

    /// Nothing known.
    public init() {}

    /// Whether anything here tells that the engine steps.
    public var hasHeartbeat: Bool { iterations != nil || generationTokens != nil }

    /// Whether any of vLLM's own values was there.
    public var isVLLM: Bool { hasHeartbeat || running != nil || waiting != nil || kvCacheUsage != nil }

    /// Requests that the engine says it has, running or waiting; nil where it says nothing.
    public var requests: Double? {
        guard running != nil || waiting != nil else { return nil }
        return (running ?? 0) + (waiting ?? 0)
    }

    /// What happened since an earlier scrape of the same address.
    public func movement(since earlier: EngineCounters) -> Movement {
        if let now = processStart, let then = earlier.processStart, abs(now - then) > 1 { return .restarted }
        var isKnown = false
        var hasMoved = false
        for counter in [\EngineCounters.iterations, \.generationTokens, \.promptTokens] {
            guard let now = self[keyPath: counter], let then = earlier[keyPath: counter] else { continue }
            if now < then { return .restarted }
            // Prompt tokens alone are no heartbeat: they are only looked at beside one.
            if counter != \.promptTokens { isKnown = true }
            if now > then { hasMoved = true }
        }
        if hasMoved { return .moved }
        return isKnown ? .still : .unknown
    }

    /// What two scrapes say together.
    public enum Movement: Sendable, Hashable {
        /// The engine stepped.
        case moved
        /// The counters are there and are the same.
        case still
        /// A counter went backwards: this is another life of the server.
        case restarted
        /// Counters are missing in one of the two.
        case unknown
    }
}
