import Fleet
import Synchronization

/// What one loop measures beside its counts: the loop writes, the control thread reads at any time.
struct LoopMeasures: ~Copyable {
    /// Durations of one provider's requests on one route.
    struct Series: ~Copyable {
        let duration = Histogram(base: 5_000_000)
        let firstByte = Histogram(base: 1_000_000)
    }

    /// What is measured of one provider.
    struct Provider: ~Copyable {
        let interChunk = Histogram(base: 100_000)
        let aborts = Atomic<UInt64>(0)
        /// Requests that wait for a place.
        let queued = Atomic<Int>(0)
    }

    /// Tokens of one model of one provider.
    struct Tokens: ~Copyable {
        let prompt = Atomic<UInt64>(0)
        let completion = Atomic<UInt64>(0)
    }

    /// One of so many requests, and turns, is measured where measuring needs another look at the clock.
    static let sampling: UInt64 = 16

    let series = MeasureTable<Series>(capacity: 1024)
    let providers = MeasureTable<Provider>(capacity: 256)
    let tokens = MeasureTable<Tokens>(capacity: 1024)
    let overhead = Histogram(base: 1_000)
    let lag = Histogram(base: 10_000)
    /// Tries made again, by the reason's raw value; the last one is of stale connections.
    let retries: UnsafeMutablePointer<Atomic<UInt64>>

    /// Nothing measured.
    init() {
        retries = .allocate(capacity: Exchange.Reason.allCases.count + 1)
        for index in 0...Exchange.Reason.allCases.count { (retries + index).initialize(to: Atomic(0)) }
    }

    deinit {
        retries.deinitialize(count: Exchange.Reason.allCases.count + 1)
        retries.deallocate()
    }

    /// What is measured of a provider.
    @inline(__always) func provider(_ number: UInt16) -> UnsafeMutablePointer<Provider>? {
        providers.value(UInt64(number)) { Provider() }
    }

    /// What is measured of a provider's requests on a route.
    @inline(__always) func series(_ provider: UInt16, _ route: Route) -> UnsafeMutablePointer<Series>? {
        series.value(UInt64(provider) &<< 8 | UInt64(route.rawValue)) { Series() }
    }

    /// The tokens of a model of a provider.
    func tokens(_ provider: UInt16, model: UInt16) -> UnsafeMutablePointer<Tokens>? {
        tokens.value(UInt64(provider) &<< 16 | UInt64(model)) { Tokens() }
    }
}
