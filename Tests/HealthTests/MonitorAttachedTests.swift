import Fleet
import Testing

@testable import Health

@Suite("An attached run's verdict")
struct MonitorAttachedTests {
    @Test("Nothing at its address: unreachable, said once; published when it comes and works")
    func comesLate() {
        var script = MonitorScript(.attached)
        script.metrics = .failure(.refused)
        script.tell(.began)
        script.run(for: .seconds(60))
        #expect(script.conclusions.map(\.name) == ["unreachable"])
        #expect(script.count(.models) <= 32)
        script.comeUp()
        script.run(for: .seconds(3))
        #expect(script.conclusions.map(\.name) == ["unreachable", "listening", "warm"])
    }

    @Test("Dies: unreachable after unhealthy_after failures; comes back: a real request first")
    func diesAndComesBack() {
        var script = MonitorScript.warm(.attached)
        script.goDown()
        let died = script.now
        script.run(for: .seconds(3))
        #expect(script.conclusions.isEmpty)
        script.run(for: .seconds(60))
        #expect(script.conclusions.map(\.name) == ["unreachable"])
        #expect((script.concludedAt[0] - died) <= .seconds(7))
        script.comeUp()
        script.iterations = 0
        script.request = .answer(503, #"{"error":{"message":"busy"}}"#)
        script.run(for: .seconds(4))
        #expect(script.conclusions.map(\.name) == ["unreachable"])
        script.request = .answer(200, MonitorScript.token)
        script.run(for: .seconds(4))
        #expect(script.conclusions.map(\.name) == ["unreachable", "healthy"])
        script.run(for: .seconds(100))
        #expect(script.conclusions.count == 2)
    }

    @Test("Refused while the gateway suspects: unreachable at once")
    func suspected() {
        var script = MonitorScript.warm(.attached)
        script.goDown()
        script.tell(.suspected("connection refused"))
        script.run(for: .milliseconds(50))
        #expect(script.conclusions.map(\.name) == ["unreachable"])
    }

    @Test("Hung: unhealthy, never condemned; heals when it goes on")
    func hangs() {
        var script = MonitorScript.warm(.attached)
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.hangEngine()
        script.run(for: .seconds(600))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        script.comeUp()
        script.run(for: .seconds(15))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "healthy"])
    }

    @Test("Its engine is dead: unhealthy, never condemned")
    func dies() {
        var script = MonitorScript.warm(.attached)
        script.health = .answer(503)
        script.request = .answer(500, #"{"error":{"message":"EngineCore encountered an issue."}}"#)
        script.run(for: .seconds(120))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        // Not a storm of requests either.
        #expect(script.count(.request) < 130)
    }

    @Test("Restarted between two scrapes: warmed up again before anyone waits for it")
    func restarted() {
        var script = MonitorScript.warm(.attached)
        script.run(for: .seconds(5))
        script.iterations = 0
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "healthy"])
    }

    @Test("Two servers behind one address: their counters do not make it flap for ever")
    func balanced() {
        var script = MonitorScript.warm(.attached)
        for round in 0..<200 {
            script.iterations = round.isMultiple(of: 2) ? 10 : 5000
            script.run(for: .seconds(2))
        }
        #expect(script.conclusions.count <= 4)
        #expect(script.lastConclusion?.name == "healthy")
    }

    @Test("Another server takes its place: misconfigured, or other models")
    func anotherServer() {
        var script = MonitorScript.warm(.attached)
        script.models = .answer(200, "<html>hello</html>")
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured"])
        script.models = .answer(200, #"{"data":[{"id":"new/m"}]}"#)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured", "healthy"])
        #expect(script.monitor.models.map(\.id) == ["new/m"])
    }

    @Test("No /v1/models there: the configured ids are believed after a request")
    func configuredModels() {
        var script = MonitorScript(.attached, configured: ["org/extra"])
        script.comeUp()
        script.models = .answer(404, MonitorScript.notFound)
        script.tell(.began)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
        #expect(script.monitor.models.map(\.id) == ["org/extra"])
    }

    @Test("Nothing but /v1 is let through: /health and /metrics of 404 are no failures")
    func onlyV1() {
        var script = MonitorScript(.attached)
        script.comeUp()
        script.health = .answer(404)
        script.metrics = .answer(404)
        script.tell(.began)
        script.run(for: .seconds(300))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
    }

    @Test("A key that only inference wants: misconfigured, said once")
    func requestUnauthorized() {
        var script = MonitorScript(.attached)
        script.comeUp()
        script.request = .answer(401, #"{"error":"Unauthorized"}"#)
        script.tell(.began)
        script.run(for: .seconds(60))
        #expect(script.conclusions.map(\.name) == ["listening", "misconfigured"])
        script.comeUp()
        script.run(for: .seconds(5))
        #expect(script.lastConclusion?.name == "warm")
    }

    @Test("Its name leads elsewhere: old answers say nothing, the new address is asked at once")
    func endpointChanged() {
        var script = MonitorScript.warm(.attached)
        script.models = .silence
        script.run(for: .seconds(3))
        script.comeUp()
        script.iterations = 3
        let before = script.sent.count
        script.tell(.endpointChanged)
        #expect(Set(script.sent[before...].map(\.order.kind)) == Set(HealthMonitor.ProbeKind.allCases))
        script.run(for: .seconds(30))
        #expect(script.conclusions.isEmpty)
    }

    @Test("Answers slowly, 4 s each: published")
    func slow() {
        var script = MonitorScript(.attached)
        script.models = .answer(200, MonitorScript.list, after: .seconds(4))
        script.health = .answer(200, "", after: .seconds(4))
        script.request = .answer(200, MonitorScript.token, after: .seconds(4))
        script.tell(.began)
        script.run(for: .seconds(300))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
    }

    @Test("healthy_after: so many answers before it is back")
    func healthyAfter() {
        var script = MonitorScript.warm(.attached) { $0.healthyAfter = 5 }
        script.goDown()
        script.run(for: .seconds(20))
        script.comeUp()
        script.run(for: .seconds(6))
        #expect(script.conclusions.map(\.name) == ["unreachable"])
        script.run(for: .seconds(6))
        #expect(script.conclusions.map(\.name) == ["unreachable", "healthy"])
    }
}
