import Fleet
import Testing

@testable import Health

@Suite("Since when work has been waiting")
struct MonitorWaitingTests {
    /// Clients that ask, give up after three seconds without a byte, and ask again a moment later.
    private static func askImpatiently(_ script: inout MonitorScript, for duration: Duration) {
        let end = script.now + duration
        while script.now < end, !script.isCondemned {
            script.tell(.activity(inflight: 1, lastByte: nil))
            script.run(for: .seconds(3))
            script.tell(.activity(inflight: 0, lastByte: nil))
            script.run(for: .milliseconds(50))
        }
    }

    @Test(
        "Requests given up without a byte are work that waits: a hang is found after hang_after and one canary",
        arguments: HealthConfiguration.Canary.allCases)
    func impatient(canary: HealthConfiguration.Canary) throws {
        var script = MonitorScript.warm { $0.canary = canary }
        script.hangEngine()
        let stopped = script.now
        Self.askImpatiently(&script, for: .seconds(200))
        #expect(script.conclusions.map(\.name).suffix(2) == ["unhealthy", "condemned"])
        let found = try #require(script.concludedAt.last)
        #expect((60...75).contains((found - stopped).seconds), "\((found - stopped).seconds) s")
    }

    @Test("A sign of life from before does not answer what was asked since")
    func answeredBefore() throws {
        var script = MonitorScript.warm()
        script.hangEngine()
        let stopped = script.now
        // The next scrape still has news of the warm-up's request; then nobody ever sees that nothing is in flight, but once.
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(38))
        script.tell(.activity(inflight: 0, lastByte: nil))
        script.run(for: .milliseconds(10))
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(100))
        #expect(script.conclusions.last?.name == "condemned")
        let found = try #require(script.concludedAt.last)
        #expect((60...75).contains((found - stopped).seconds), "\((found - stopped).seconds) s")
    }

    @Test("One request given up, and nobody asks any more: one canary that fails is not enough, two are")
    func leftAlone() throws {
        var script = MonitorScript.warm { $0.canary = .off }
        // Until the warm-up's own request is no news of the counters any more.
        script.run(for: .seconds(5))
        script.hangEngine()
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(3))
        script.tell(.activity(inflight: 0, lastByte: nil))
        let before = script.count(.request)
        let verdict = script.runToConclusion(within: .seconds(100))?.name
        #expect(verdict == "unhealthy")
        #expect(script.count(.request) - before == 2)
        script.run(for: .seconds(30))
        let isCondemned = script.isCondemned
        #expect(isCondemned)
    }

    @Test("A request given up where the engine lives costs one canary, and no word is said")
    func healthy() {
        var script = MonitorScript.warm { $0.canary = .off }
        let before = script.count(.request)
        for _ in 0..<10 {
            script.tell(.activity(inflight: 1, lastByte: nil))
            script.run(for: .seconds(1))
            script.tell(.activity(inflight: 0, lastByte: nil))
            script.run(for: .seconds(4))
        }
        script.run(for: .seconds(600))
        #expect(script.conclusions.isEmpty)
        #expect(script.count(.request) - before == 1)
    }

    @Test("A request that was answered waits no more: no canary follows it")
    func answered() {
        var script = MonitorScript.warm { $0.canary = .off }
        let before = script.count(.request)
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(1))
        script.tell(.activity(inflight: 0, lastByte: script.now))
        script.run(for: .seconds(600))
        #expect(script.count(.request) == before)
    }

    @Test("Where no canary can tell, a request given up is forgotten: what was unreachable comes back")
    func unaskable() {
        var script = MonitorScript(.attached)
        script.comeUp()
        script.request = .answer(404, MonitorScript.notFound)
        script.tell(.began)
        script.run(for: .seconds(5))
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(2))
        script.tell(.activity(inflight: 0, lastByte: nil))
        script.run(for: .seconds(100))
        script.goDown()
        script.run(for: .seconds(20))
        script.comeUp()
        script.request = .answer(404, MonitorScript.notFound)
        script.run(for: .seconds(20))
        #expect(script.conclusions.map(\.name) == ["listening", "warm", "unreachable", "healthy"])
    }

    @Test("A route that answers 400 can be asked for ever: no canary at each period after a request given up")
    func aliveOnly() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(400, #"{"error":{"message":"no"}}"#)
        script.tell(.began)
        script.run(for: .seconds(5))
        let before = script.count(.request)
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(2))
        script.tell(.activity(inflight: 0, lastByte: nil))
        script.run(for: .seconds(600))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
        #expect(script.count(.request) - before <= 600 / 30 + 1)
    }
}
