import Synchronization

/// Picks an instance: fewest in flight, ties at random. The counts are the whole process's.
struct Chooser {
    /// What came of it.
    enum Choice: Equatable {
        /// The index of a run in the table.
        case run(Int)
        /// The index of a run whose breaker is open, as every other's is: one must not be without any.
        case last(Int)
        /// There are some, and every one has its limit in flight.
        case full
        /// There is none.
        case none
    }

    /// The most in flight on one run; 0 is no limit.
    let limit: Int

    private var best = -1
    private var bestLoad = Int.max
    private var ties: UInt64 = 0
    private var sawFull = false
    private var sawTrusted = false
    private var last = -1
    private var lastLoad = Int.max

    /// A chooser before its first candidate.
    @inline(__always) init(limit: Int) { self.limit = limit }

    /// Looks at one candidate with this many in flight, ready for so many nanoseconds. Its last places may be claimed
    /// by others who wait, and its breaker open.
    @inline(__always) mutating func consider(
        _ run: Int, inflight: Int, age: UInt64 = .max, isTrusted: Bool = true, isClaimed: Bool = false,
        random: inout Random
    ) {
        if isTrusted { sawTrusted = true }
        if limit > 0, inflight >= limit || isClaimed {
            sawFull = true
            return
        }
        let load = age < SlowStart.window ? SlowStart.load(inflight, age: age) : inflight
        guard isTrusted else {
            if load < lastLoad {
                last = run
                lastLoad = load
            }
            return
        }
        if load < bestLoad {
            best = run
            bestLoad = load
            ties = 1
        } else if load == bestLoad {
            // Each of n equal ones is kept with probability 1/n.
            ties &+= 1
            if random.next() % ties == 0 { best = run }
        }
    }

    /// The choice.
    @inline(__always) var choice: Choice {
        if best >= 0 { return .run(best) }
        if sawTrusted { return .full }
        return last >= 0 ? .last(last) : sawFull ? .full : .none
    }
}

/// Numbers that need be neither secret nor repeatable: xorshift64*.
struct Random {
    private var state: UInt64

    /// A sequence; equal seeds give equal ones.
    init(seed: UInt64) { state = seed == 0 ? 0x9e37_79b9_7f4a_7c15 : seed }

    /// The next number.
    @inline(__always) mutating func next() -> UInt64 {
        state ^= state &>> 12
        state ^= state &<< 25
        state ^= state &>> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
