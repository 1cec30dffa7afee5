import Synchronization

/// Picks an instance: fewest in flight, ties at random. The counts are the whole process's.
struct Chooser {
    /// What came of it.
    enum Choice: Equatable {
        /// The index of a run in the table.
        case run(Int)
        /// There are some, and every one has its limit in flight.
        case full
        /// There is none.
        case none
    }

    /// The most in flight on one run; 0 is no limit.
    let limit: Int

    private var best = -1
    private var bestCount = Int.max
    private var ties: UInt64 = 0
    private var sawFull = false

    /// A chooser before its first candidate.
    @inline(__always) init(limit: Int) { self.limit = limit }

    /// Looks at one candidate with this many in flight.
    @inline(__always) mutating func consider(_ run: Int, inflight: Int, random: inout Random) {
        if limit > 0, inflight >= limit {
            sawFull = true
            return
        }
        if inflight < bestCount {
            best = run
            bestCount = inflight
            ties = 1
        } else if inflight == bestCount {
            // Each of n equal ones is kept with probability 1/n.
            ties &+= 1
            if random.next() % ties == 0 { best = run }
        }
    }

    /// The choice.
    @inline(__always) var choice: Choice { best >= 0 ? .run(best) : sawFull ? .full : .none }
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
