import Fleet
import Health
import Synchronization
import Testing

@testable import Supervisor

/// The machine's monotonic clock, with a wall clock that can be set.
private final class SettableClock: WakeClock {
    private let offset = Mutex<Int64>(0)
    private let machine = SystemClock()

    func set(by milliseconds: Int64) { offset.withLock { $0 += milliseconds } }
    func now() -> Instant { machine.now() }
    func wallMilliseconds() -> Int64 { machine.wallMilliseconds() + offset.withLock { $0 } }
    func sleep(until instant: Instant) async { await machine.sleep(until: instant) }
}

@Suite("A wall clock that is set")
struct ClockTests {
    @Test("nothing is decided by it: it only changes the times that people read", arguments: [-3_600_000, 86_400_000])
    func set(by milliseconds: Int64) async throws {
        let clock = SettableClock()
        let bench = OwnerBench(clock: clock) { $0.timeouts.startMax = .seconds(600) }
        await bench.owner.begin(wanted: true)
        #expect(await bench.becomes(.ready))
        let before = await bench.owner.status
        clock.set(by: milliseconds)
        let asked = bench.prober.asked.withLock { $0.count }
        #expect(await eventually { bench.prober.asked.withLock { $0.count } > asked + 20 }, "it is asked as before")
        let after = await bench.owner.status
        #expect(after.state == .ready && after.run == before.run && after.restarts == 0)
        #expect(after.since != before.since, "as the clock on the wall shows it now")
        #expect(after.checks.allSatisfy { $0.ageSeconds >= 0 && $0.ageSeconds < 60 })
        // A pause counts by the clock that nobody sets.
        try #require(bench.spawner.living).report(.exited(.code(1)))
        #expect(await bench.becomes(.ready, run: 2))
        await bench.owner.shutdown()
    }
}
