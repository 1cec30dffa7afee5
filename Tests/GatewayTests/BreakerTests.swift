import Foundation
import Testing

@testable import Gateway

/// What is decided about instances: trust, and easing in.
@Suite struct BreakerTests {
    @Test func opensAfterFailuresInARowOnly() {
        var breaker = Breaker()
        for _ in 0..<3 {
            for _ in 0..<4 { breaker.handle(.failed, at: 10) }
            #expect(breaker.admit(at: 10) == .free)
            breaker.handle(.succeeded, at: 11)
        }
        #expect(breaker == Breaker())
        for _ in 0..<5 { breaker.handle(.failed, at: 100) }
        #expect(breaker.phase == .open)
        #expect(!breaker.mayTry(at: 1099))
        #expect(breaker.admit(at: 1099) == .refused)
    }

    @Test func letsOneTryAtATime() {
        var breaker = Breaker()
        for _ in 0..<5 { breaker.handle(.failed, at: 0) }
        #expect(breaker.admit(at: 1000) == .trial)
        #expect(breaker.admit(at: 1001) == .refused)
        // It failed: twice as long.
        breaker.handle(.failed, at: 1100)
        #expect(breaker.admit(at: 3099) == .refused)
        #expect(breaker.admit(at: 3100) == .trial)
        // Its client left: the next one tries.
        breaker.handle(.trialAbandoned, at: 3200)
        #expect(breaker.admit(at: 3200) == .trial)
        breaker.handle(.succeeded, at: 3300)
        #expect(breaker.admit(at: 3300) == .free)
        #expect(breaker.raw == 0)
        // One without a verdict does not hold it for ever.
        for _ in 0..<5 { breaker.handle(.failed, at: 4000) }
        #expect(breaker.admit(at: 5000) == .trial)
        #expect(breaker.admit(at: 64_999) == .refused)
        #expect(breaker.admit(at: 65_000) == .trial)
    }

    @Test func pausesNoLongerThanTheLongest() {
        var breaker = Breaker()
        for _ in 0..<5 { breaker.handle(.failed, at: 0) }
        var now: UInt64 = 0
        for _ in 0..<40 {
            let before = now
            while breaker.admit(at: now) != .trial { now += 500 }
            #expect(now - before <= 30_500)
            breaker.handle(.failed, at: now)
        }
        #expect(Breaker(raw: breaker.raw) == breaker)
    }

    @Test func theLastOneIsNeverEjected() {
        var random = Random(seed: 1)
        var chooser = Chooser(limit: 2)
        chooser.consider(0, inflight: 1, isTrusted: false, random: &random)
        chooser.consider(1, inflight: 0, isTrusted: false, random: &random)
        #expect(chooser.choice == .last(1))
        chooser.consider(2, inflight: 1, random: &random)
        #expect(chooser.choice == .run(2))
        // A trusted one that is full is waited for.
        var full = Chooser(limit: 2)
        full.consider(0, inflight: 0, isTrusted: false, random: &random)
        full.consider(1, inflight: 2, random: &random)
        #expect(full.choice == .full)
        var all = Chooser(limit: 2)
        all.consider(0, inflight: 2, isTrusted: false, random: &random)
        #expect(all.choice == .full)
    }

    @Test func aNewInstanceIsEasedIn() {
        let second: UInt64 = 1_000_000_000
        #expect(SlowStart.load(0, age: 0) == 0)
        #expect(SlowStart.load(1, age: 0) == 10)
        #expect(SlowStart.load(3, age: 5 * second) == 6)
        #expect(SlowStart.load(3, age: 9_999_999_999) == 3)
        var random = Random(seed: 1)
        var chooser = Chooser(limit: 0)
        chooser.consider(0, inflight: 4, random: &random)
        chooser.consider(1, inflight: 1, age: second, random: &random)
        #expect(chooser.choice == .run(0))
        // It need not be the less busy one, but it is one.
        var alone = Chooser(limit: 0)
        alone.consider(1, inflight: 50, age: 0, random: &random)
        #expect(alone.choice == .run(1))
    }

    @Test func aFailingInstanceIsLeftAloneAndComesBack() throws {
        let (refusing, port) = listenOnLoopback(isBlocking: true)
        close(refusing)
        let good = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", port, ["m"])]), ("b", [instance("b-0", good.port, ["m"])])]))
        defer { gateway.stop() }
        for _ in 0..<40 {
            #expect(try #require(gateway.ask(post("/v1/completions", #"{"model":"m"}"#))).status == 200)
        }
        let open = gateway.registry.wait {
            if case .report(let report) = $0, report.counters["breaker_open:a-0"] == 1 { report } else { nil }
        }
        let report = try #require(open)
        #expect(report.counters["breaker_open:b-0"] == 0)
        #expect(try #require(report.runs.first { $0.run.instance == "a-0" }).failures < 10)
        // The only one there is is still asked.
        let only = try #require(gateway.ask(post("/v1/completions", #"{"model":"a/m"}"#)))
        #expect(only.status == 503)
        let revived = UpstreamStub.echo(port: port)
        defer { revived.stop() }
        #expect(try #require(gateway.ask(post("/v1/completions", #"{"model":"a/m"}"#))).status == 200)
        gateway.registry.forget()
        let closed = gateway.registry.wait {
            if case .report(let report) = $0, report.counters["breaker_open:a-0"] == 0 { true } else { nil }
        }
        #expect(closed == true)
    }
}
