import Fleet
import Synchronization
import Testing

@testable import Supervisor

@Suite("What people are told of the past")
struct HistoryTests {
    static func status(
        _ state: InstanceState, run: UInt64 = 1, of id: String = "chat-0", reason: String = "because"
    ) -> InstanceStatus {
        InstanceStatus(id: id, run: run, state: state, since: "2026-01-31T14:02:11Z", reason: reason)
    }

    @Test("An event for each state and each run, none for what is the same")
    func timeline() {
        var timeline = Timeline()
        timeline.take(Self.status(.stopped))
        #expect(timeline.last == 0, "an instance that was never started is no news")
        timeline.take(Self.status(.starting))
        timeline.take(Self.status(.starting, reason: "another"))
        timeline.take(Self.status(.loading))
        timeline.take(Self.status(.loading, run: 2))
        timeline.take(Self.status(.loading))
        timeline.add(.command, at: "t", instance: "chat-0", "stop was asked for")
        timeline.forget("chat-0", at: "t")
        timeline.forget("chat-0", at: "t")
        #expect(timeline.events.map(\.number) == [1, 2, 3, 4, 5])
        #expect(timeline.events.map(\.state) == [.starting, .loading, .loading, nil, nil])
        #expect(timeline.after(3).map(\.number) == [4, 5] && timeline.after(9).isEmpty)
        for number in 0..<Timeline.most { timeline.add(.gateway, at: "t", "\(number)") }
        #expect(timeline.events.count == Timeline.most && timeline.last == UInt64(Timeline.most + 5))
    }

    @Test("The last minutes: gaps where nothing is known, no more than ten minutes, what is gone is gone")
    func minutes() {
        var history = MinuteHistory()
        var lively = Self.status(.ready)
        lively.inflight = 3
        lively.load = .init(running: 2, waiting: 1, kvCacheUsage: 0.12345, tokensPerSecond: 12.345)
        var at = Instant(nanoseconds: 1)
        history.take([Self.status(.loading), lively], inflight: 3, requestsTotal: 10, at: at)
        at = at + .seconds(5)
        history.take([Self.status(.loading, of: "other"), lively], inflight: 4, requestsTotal: 35, at: at)
        #expect(history.instances["other"]?.waiting == [nil])
        #expect(history.instances["chat-0"]?.kvCacheUsage.last == 0.123)
        #expect(history.instances["chat-0"]?.tokensPerSecond.last == 12.3)
        #expect(history.gateway.requestsPerSecond == [nil, 5])
        // A gateway that was started again counts anew.
        history.take([lively], inflight: 0, requestsTotal: 1, at: at + .seconds(5))
        #expect(history.gateway.requestsPerSecond.last == .some(nil) && history.instances["other"] == nil)
        for step in 0..<200 { history.take([lively], inflight: step, requestsTotal: 1, at: at) }
        #expect(history.gateway.inflight.count == MinuteHistory.length && history.gateway.inflight.last == 199)
    }

    @Test("What a start should take: the median of the last ones of the same model, kept in a file")
    func loads() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = "\(directory.path)/load-times.json"
        #expect(LoadTimes.read(path).estimate(provider: "chat", model: "m") == nil)
        var loads = LoadTimes()
        for seconds in [600, 60, 62] { loads.add(.seconds(seconds), provider: "chat", model: "m") }
        loads.add(.seconds(1), provider: "chat", model: "other")
        loads.write(path)
        let kept = LoadTimes.read(path)
        let estimate = try #require(kept.estimate(provider: "chat", model: "m"))
        #expect(estimate.seconds == 62 && estimate.loads == 3)
        for _ in 0..<20 { loads.add(.seconds(5), provider: "chat", model: "m") }
        let last = try #require(loads.estimate(provider: "chat", model: "m"))
        #expect(last.seconds == 5 && last.loads == LoadTimes.most)
        directory.write("load-times.json", "damaged")
        #expect(LoadTimes.read(path) == LoadTimes())
    }

    private final class StillClock: WakeClock {
        let milliseconds = Mutex<Int64>(0)
        func now() -> Instant { Instant(nanoseconds: UInt64(wallMilliseconds()) * 1_000_000) }
        func wallMilliseconds() -> Int64 { milliseconds.withLock { $0 } }
        func sleep(until instant: Instant) async {}
    }

    private static func record(_ status: InstanceStatus, readyAfter: Duration? = nil) -> InstanceRecord {
        InstanceRecord(
            provider: "chat", kind: .launched, status: status, entries: [], settled: false, model: "m",
            measures: InstanceMeasures(readyAfter: readyAfter))
    }

    @Test("The chronicle times starts that it saw whole, and expects the next one's end")
    func chronicle() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = "\(directory.path)/load-times.json"
        let clock = StillClock()
        let chronicle = Chronicle(path: path, clock: clock)
        // Taken over: nobody saw how long it took.
        chronicle.take(Self.record(Self.status(.ready), readyAfter: .seconds(9)))
        #expect(LoadTimes.read(path) == LoadTimes())
        clock.milliseconds.withLock { $0 = 1_000 }
        chronicle.take(Self.record(Self.status(.starting, run: 2)))
        #expect(chronicle.expectedReady(Self.status(.starting, run: 2), provider: "chat", model: "m") == nil)
        chronicle.take(Self.record(Self.status(.ready, run: 2), readyAfter: .seconds(40)))
        chronicle.take(Self.record(Self.status(.ready, run: 2), readyAfter: .seconds(40)))
        clock.milliseconds.withLock { $0 = 100_000 }
        chronicle.take(Self.record(Self.status(.starting, run: 3)))
        chronicle.take(Self.record(Self.status(.loading, run: 3)))
        let loading = Self.status(.loading, run: 3)
        let expected = try #require(chronicle.expectedReady(loading, provider: "chat", model: "m"))
        #expect(expected == .init(at: "1970-01-01T00:02:20.000Z", seconds: 40, loads: 1))
        #expect(chronicle.expectedReady(Self.status(.ready, run: 3), provider: "chat", model: "m") == nil)
        #expect(chronicle.expectedReady(loading, provider: "chat", model: "another") == nil)
        chronicle.forget(instance: "chat-0")
        #expect(chronicle.events(after: 0).map(\.state) == [.ready, .starting, .ready, .starting, .loading, nil])
        // The next daemon knows it.
        let next = Chronicle(path: path, clock: clock)
        next.take(Self.record(Self.status(.starting, run: 4)))
        #expect(next.expectedReady(Self.status(.starting, run: 4), provider: "chat", model: "m")?.seconds == 40)
    }

    @Test(
        "Where the try box reaches the gateway",
        arguments: [
            ([], false, nil), ([.tcp(host: "0.0.0.0", port: 80)], false, "http://127.0.0.1:80"),
            ([.tcp(host: "::", port: 80)], true, "https://[::1]:80"),
            ([.tcp(host: "10.0.0.1", port: 80), .tcp(host: "127.0.0.1", port: 81)], false, "http://10.0.0.1:80"),
            ([.tcp(host: "localhost", port: 80), .unix(path: "/run/g.sock")], true, "unix:/run/g.sock"),
        ] as [([ListenAddress], Bool, String?)])
    func endpoint(addresses: [ListenAddress], tls: Bool, expected: String?) {
        #expect(ChatRelay.endpoint(of: addresses, tls: tls)?.description == expected)
    }
}
