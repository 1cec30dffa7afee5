import Fleet
import Synchronization

/// Every run that has a cell: owned by the control thread, which alone makes and frees them.
struct RunDirectory {
    private(set) var cells: [InstanceRun: RunPointer] = [:]
    /// How long a cell that nobody can reach any more is kept, in nanoseconds: a loop that has just counted its last
    /// request off may still look at it.
    private static let grace: UInt64 = 1_000_000_000

    private let loops: Int
    private var unreachableSince: [InstanceRun: UInt64] = [:]

    /// A directory for a process of `loops` loops.
    init(loops: Int) { self.loops = loops }

    /// The cell of a run named by the table of this serial number.
    mutating func cell(of run: InstanceRun, published: Bool, table: UInt64) -> RunPointer {
        let cell: RunPointer
        if let known = cells[run] {
            cell = known
        } else {
            cell = .allocate(capacity: 1)
            cell.initialize(to: RunCell(loops: loops, name: run.instance))
            cells[run] = cell
        }
        cell.pointee.table.store(table, ordering: .releasing)
        if published, !cell.pointee.published.load(ordering: .relaxed) {
            // Its health was just confirmed: what was held against it is of the past.
            cell.pointee.breaker.store(0, ordering: .relaxed)
            cell.pointee.publishedAt.store(Instant.now().nanoseconds, ordering: .relaxed)
        }
        cell.pointee.published.store(published, ordering: .releasing)
        return cell
    }

    /// Marks as unpublished what the table of this serial number does not name.
    func retireOthers(than table: UInt64) {
        for cell in cells.values where cell.pointee.table.load(ordering: .acquiring) != table {
            cell.pointee.published.store(false, ordering: .releasing)
        }
    }

    /// Gives back the cells that nobody can reach: not in the table that every loop has switched to, nothing in flight,
    /// and so for a while.
    mutating func sweep(applied table: UInt64, now: UInt64) {
        for (run, cell) in cells {
            guard cell.pointee.table.load(ordering: .acquiring) < table,
                cell.pointee.inflight.load(ordering: .acquiring) == 0
            else {
                unreachableSince[run] = nil
                continue
            }
            guard let since = unreachableSince[run] else {
                unreachableSince[run] = now
                continue
            }
            guard now - since > Self.grace else { continue }
            unreachableSince[run] = nil
            cells[run] = nil
            cell.deinitialize(count: 1)
            cell.deallocate()
        }
    }

    /// What is reported of each run, in order.
    func reports() -> [RunReport] {
        cells.keys.filter { unreachableSince[$0] == nil }.sorted().map { run in
            let cell = cells[run]!
            var last: UInt64 = 0
            for index in 0..<loops {
                last = max(last, cell.pointee.lines[index].lastByte.load(ordering: .relaxed))
            }
            return RunReport(
                run: run, inflight: cell.pointee.inflight.load(ordering: .acquiring),
                lastByte: last == 0 ? nil : Instant(nanoseconds: last),
                failures: cell.pointee.failures.load(ordering: .relaxed),
                lost: cell.pointee.lost.load(ordering: .relaxed),
                lastFailure: RunFailure(rawValue: cell.pointee.lastFailure.load(ordering: .relaxed))?.sentence)
        }
    }

    /// Published instances, and whether the breaker of each is not closed.
    func breakers() -> [String: Bool] {
        var found: [String: Bool] = [:]
        for (run, cell) in cells where cell.pointee.published.load(ordering: .relaxed) {
            let breaker = Breaker(raw: cell.pointee.breaker.load(ordering: .relaxed))
            found[run.instance] = found[run.instance] == true || breaker.phase != .closed
        }
        return found
    }

    /// Whether a run that is not published any more has become idle since it was last looked at: `seen` keeps the ones
    /// that were busy.
    func newlyIdle(_ seen: inout Set<InstanceRun>) -> Bool {
        var found = false
        for (run, cell) in cells where !cell.pointee.published.load(ordering: .acquiring) {
            if cell.pointee.inflight.load(ordering: .acquiring) > 0 {
                seen.insert(run)
            } else if seen.remove(run) != nil {
                found = true
            }
        }
        return found
    }
}
