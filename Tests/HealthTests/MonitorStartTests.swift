import Fleet
import Testing

@testable import Health

@Suite("A run's start")
struct MonitorStartTests {
    @Test("Before it began nothing is asked and no wake is wanted")
    func waits() {
        var script = MonitorScript()
        #expect(script.monitor.nextWake == nil)
        script.run(for: .seconds(10))
        #expect(script.sent.isEmpty)
    }

    @Test("Refused while starting is normal: every 100 ms, for an hour, without a conclusion")
    func refused() {
        var script = MonitorScript()
        script.tell(.began)
        script.run(for: .seconds(3600))
        #expect(script.conclusions.isEmpty)
        #expect((35_000...36_100).contains(script.count(.models)))
        #expect(script.count(.request) == 0)
    }

    @Test("Listening, then a real request, then warm: within milliseconds of the answers")
    func warms() {
        var script = MonitorScript()
        script.tell(.began)
        script.run(for: .seconds(30))
        script.comeUp()
        script.run(for: .milliseconds(200))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
        #expect((script.concludedAt[1] - script.concludedAt[0]) < .milliseconds(10))
        let request = script.sent.first { $0.order.kind == .request }
        #expect(request?.order.path == "/v1/completions")
        #expect(request?.order.method == "POST")
        #expect(script.monitor.models.map(\.id) == ["org/m"])
    }

    @Test("Without a warm-up, listening is warm, and nothing is ever asked of the engine")
    func noWarmup() {
        var script = MonitorScript(warmup: .none)
        script.comeUp()
        script.tell(.began)
        script.run(for: .seconds(600))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
        #expect(script.count(.request) == 0)
    }

    @Test("Once it is warm, probes go at the interval, and an idle engine is asked every 30 s")
    func steady() {
        var script = MonitorScript.warm()
        let before = script.sent.count
        script.run(for: .seconds(300))
        let later = script.sent[before...]
        #expect((145...155).contains(later.count { $0.order.kind == .models }))
        #expect((145...155).contains(later.count { $0.order.kind == .health }))
        #expect((145...155).contains(later.count { $0.order.kind == .metrics }))
        #expect((8...10).contains(later.count { $0.order.kind == .request }))
        #expect(script.conclusions.isEmpty)
    }

    @Test("canary: off asks nothing of an idle engine")
    func canaryOff() {
        var script = MonitorScript.warm { $0.canary = .off }
        let before = script.count(.request)
        script.run(for: .seconds(300))
        #expect(script.count(.request) == before)
    }

    @Test("A first request of 50 s is waited for")
    func slowWarmup() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(200, MonitorScript.token, after: .seconds(50))
        script.tell(.began)
        script.run(for: .seconds(49))
        #expect(script.conclusions.map(\.name) == ["listening"])
        script.run(for: .seconds(3))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
    }

    @Test("A launched warm-up that never answers is the start's progress to judge")
    func hungWarmup() {
        var script = MonitorScript()
        script.comeUp()
        script.hangEngine()
        script.tell(.began)
        script.run(for: .seconds(1800))
        #expect(script.conclusions.map(\.name) == ["listening"])
    }

    @Test("A warm-up that is answered 500 for hang_after ends the start")
    func failingWarmup() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(500, #"{"error":{"message":"boom"}}"#)
        script.tell(.began)
        script.run(for: .seconds(50))
        #expect(script.conclusions.map(\.name) == ["listening"])
        script.run(for: .seconds(20))
        #expect(script.conclusions.map(\.name) == ["listening", "unhealthy", "condemned"])
    }

    @Test("Busy, then room: warm")
    func busyWarmup() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(503, #"{"error":{"message":"The engine is currently busy"}}"#)
        script.tell(.began)
        script.run(for: .seconds(20))
        #expect(script.conclusions.map(\.name) == ["listening"])
        script.request = .answer(200, MonitorScript.token)
        script.run(for: .seconds(1))
        #expect(script.lastConclusion?.name == "warm")
    }

    @Test("An embedding model: its 404s lead to the route that it has")
    func embedding() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(404, MonitorScript.notFound)
        script.requests["/v1/embeddings"] = .answer(200, #"{"data":[{"embedding":[0.1]}]}"#)
        script.tell(.began)
        script.run(for: .seconds(1))
        #expect(script.lastConclusion?.name == "warm")
        let paths = script.sent.filter { $0.order.kind == .request }.map(\.order.path)
        #expect(paths == ["/v1/completions", "/v1/chat/completions", "/v1/embeddings"])
        script.run(for: .seconds(60))
        #expect(script.sent.filter { $0.order.kind == .request }.last?.order.path == "/v1/embeddings")
        #expect(script.count(.request) <= 6)
    }

    @Test("An audio model: identity and counters")
    func audio() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .answer(404, MonitorScript.notFound)
        script.tell(.began)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["listening", "warm"])
        script.run(for: .seconds(600))
        #expect(script.conclusions.count == 2)
    }

    @Test("The engine dies while it warms up: condemned by the second witness")
    func diesWarming() {
        var script = MonitorScript()
        script.comeUp()
        script.request = .silence
        script.tell(.began)
        script.run(for: .seconds(3))
        script.health = .answer(503)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["listening", "unhealthy", "condemned"])
        #expect(script.monitor.nextWake == nil)
    }

    @Test("401 and another server while starting: misconfigured, and it heals")
    func wrongServer() {
        var script = MonitorScript(expected: ["org/m"])
        script.comeUp()
        script.models = .answer(401, #"{"error":"Unauthorized"}"#)
        script.tell(.began)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured"])
        script.models = .answer(200, #"{"data":[{"id":"other/m"}]}"#)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured"])
        script.comeUp()
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured", "listening", "warm"])
    }
}
