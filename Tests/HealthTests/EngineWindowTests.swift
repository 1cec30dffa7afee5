import Fleet
import Testing

@testable import Health

@Suite("An engine's last minutes")
struct EngineWindowTests {
    private static func counters(
        _ firstTokens: [Double: Double] = [:], queries: Double? = nil, hits: Double? = nil
    ) -> EngineCounters {
        var counters = EngineCounters()
        counters.firstTokens = firstTokens
        counters.prefixCacheQueries = queries
        counters.prefixCacheHits = hits
        return counters
    }

    private static func at(_ seconds: Int) -> Instant { Instant(nanoseconds: 0) + .seconds(seconds) }

    @Test("The buckets are read, summed over engines")
    func buckets() {
        let text = """
            vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 1.0
            vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 3.0
            vllm:time_to_first_token_seconds_bucket{engine="1",le="0.001",model_name="m"} 2.0
            vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="m"} 2.0
            vllm:time_to_first_token_seconds_bucket{engine="1",model_name="m"} 2.0
            vllm:time_to_first_token_seconds_count{engine="1",model_name="m"} 2.0
            vllm:iteration_tokens_total_bucket{engine="0",le="1.0"} 9.0
            """
        #expect(EngineMetrics.parse(Array(text.utf8)).firstTokens == [0.001: 3, .infinity: 5])
    }

    @Test("Only what happened within the window counts")
    func window() {
        var window = EngineWindow()
        #expect(window.prefixCacheHitRate == nil && window.timeToFirstToken(quantile: 0.5) == nil)
        window.take(Self.counters([1: 100, 2: 100, .infinity: 100], queries: 1000, hits: 0), at: Self.at(0))
        #expect(window.prefixCacheHitRate == nil && window.timeToFirstToken(quantile: 0.5) == nil, "nothing new yet")
        window.take(Self.counters([1: 100, 2: 110, .infinity: 110], queries: 1100, hits: 25), at: Self.at(10))
        #expect(window.prefixCacheHitRate == 0.25)
        #expect(window.timeToFirstToken(quantile: 0.5) == 1.5, "ten requests between one and two seconds")
        for second in stride(from: 20, through: 320, by: 10) {
            window.take(Self.counters([1: 100, 2: 110, .infinity: 110], queries: 1100, hits: 25), at: Self.at(second))
        }
        #expect(window.prefixCacheHitRate == nil && window.timeToFirstToken(quantile: 0.99) == nil)
    }

    @Test("Quantiles: between bounds, at a bound, beyond the last one")
    func quantiles() {
        var window = EngineWindow()
        window.take(Self.counters(), at: Self.at(0))
        window.take(Self.counters([0.1: 50, 1: 90, 10: 98, .infinity: 100]), at: Self.at(5))
        #expect(window.timeToFirstToken(quantile: 0.5) == 0.1)
        #expect(window.timeToFirstToken(quantile: 0.7) == 0.55)
        #expect(window.timeToFirstToken(quantile: 0.99) == 10)
    }

    @Test("Another life of the server's begins anew")
    func restarted() {
        var window = EngineWindow()
        window.take(Self.counters([.infinity: 100], queries: 100, hits: 100), at: Self.at(0))
        window.take(Self.counters([.infinity: 10], queries: 10, hits: 0), at: Self.at(5))
        #expect(window.prefixCacheHitRate == nil)
        window.take(Self.counters([1: 10, .infinity: 12], queries: 20, hits: 5), at: Self.at(10))
        #expect(window.prefixCacheHitRate == 0.5)
    }
}
