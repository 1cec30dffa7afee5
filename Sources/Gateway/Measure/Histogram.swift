import Fleet
import Synchronization

/// Durations counted in buckets by one loop, read by the control thread at any time. Recording is a division, a shift
/// and two plain stores.
///
/// Bounds are those of ``HistogramReport``: 1, 1.5, 2, 3, 4, 6, 8 … times a base.
struct Histogram: ~Copyable {
    /// Half of the first bound, in nanoseconds.
    private let half: UInt64
    // The last one is the sum in nanoseconds.
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private static let cellCount = HistogramReport.boundCount + 2

    /// An empty one whose first bucket holds what is at most `base` nanoseconds.
    init(base: UInt64) {
        half = max(1, base / 2)
        cells = .allocate(capacity: Self.cellCount)
        for index in 0..<Self.cellCount { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: Self.cellCount)
        cells.deallocate()
    }

    /// The bucket of a duration.
    @inline(__always) static func bucket(_ nanoseconds: UInt64, half: UInt64) -> Int {
        let halves = (max(nanoseconds, 1) &- 1) / half
        guard halves >= 2 else { return 0 }
        let power = 63 &- halves.leadingZeroBitCount
        let second = Int(truncatingIfNeeded: halves &>> UInt64(truncatingIfNeeded: power &- 1)) & 1
        return min((power &- 1) &* 2 &+ 1 &+ second, HistogramReport.boundCount)
    }

    /// Counts a duration; only the loop's own thread may.
    @inline(__always) func record(_ nanoseconds: UInt64) {
        LoopCounters.add(cells[Self.bucket(nanoseconds, half: half)])
        let sum = cells[Self.cellCount &- 1].load(ordering: .relaxed)
        cells[Self.cellCount &- 1].store(sum &+ nanoseconds, ordering: .relaxed)
    }

    /// What has been counted; nil when nothing has.
    func report(_ name: String, provider: String? = nil, route: String? = nil) -> HistogramReport? {
        var counts = (0...HistogramReport.boundCount).map { cells[$0].load(ordering: .relaxed) }
        while counts.last == 0 { counts.removeLast() }
        if counts.isEmpty { return nil }
        return HistogramReport(
            name: name, provider: provider, route: route, firstBound: Double(half * 2) / 1e9, counts: counts,
            sum: Double(cells[Self.cellCount - 1].load(ordering: .relaxed)) / 1e9)
    }
}
