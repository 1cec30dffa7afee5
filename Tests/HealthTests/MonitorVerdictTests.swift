import Fleet
import Testing

@testable import Health

/// VLLM.md's table of probes, row by row, and CONTRACT §4's rules.
@Suite("A launched run's verdict")
struct MonitorVerdictTests {
    @Test("Row: EngineCore killed. /health 503 unpublishes at once, the request's 500 condemns")
    func engineKilled() throws {
        var script = MonitorScript.warm()
        script.health = .answer(503)
        script.request = .answer(500, #"{"error":{"message":"EngineCore encountered an issue. See stack trace"}}"#)
        script.run(for: .seconds(3))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "condemned"])
        #expect(script.concludedAt[1] - script.concludedAt[0] < .milliseconds(50))
    }

    @Test("/health 503 alone condemns when it says it again a second later")
    func healthPersists() {
        var script = MonitorScript.warm()
        script.health = .answer(503)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "condemned"])
        #expect(script.concludedAt[1] - script.concludedAt[0] >= .milliseconds(990))
    }

    @Test("/health 503 once, and a request that works: back again")
    func healthOnce() {
        var script = MonitorScript.warm()
        script.health = .answer(503)
        #expect(script.runToConclusion(within: .seconds(3))?.name == "unhealthy")
        script.health = .answer(200)
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "healthy"])
    }

    @Test("Row: EngineCore hung under load. Found after hang_after and one canary")
    func hungUnderLoad() {
        var script = MonitorScript.warm()
        script.stepping = 10
        script.running = 2
        script.tell(.activity(inflight: 2, lastByte: script.now))
        script.run(for: .seconds(10))
        script.tell(.activity(inflight: 2, lastByte: script.now))
        script.hangEngine()
        let stopped = script.now
        script.run(for: .seconds(55))
        #expect(script.conclusions.isEmpty)
        script.run(for: .seconds(25))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "condemned"])
        #expect((70...75).contains((script.concludedAt[1] - stopped).seconds))
    }

    @Test("A wedge that shows nothing running: our own in-flight is the work that waits")
    func hungWithoutRunning() {
        var script = MonitorScript.warm()
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.hangEngine()
        script.run(for: .seconds(80))
        #expect(script.isCondemned)
    }

    @Test("Row: EngineCore hung while idle. Unpublished after two canaries, condemned after hang_after and one more")
    func hungIdle() {
        var script = MonitorScript.warm()
        script.hangEngine()
        let stopped = script.now
        script.run(for: .seconds(70))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        #expect((script.concludedAt[0] - stopped) <= .seconds(55))
        script.run(for: .seconds(40))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "condemned"])
        #expect((script.concludedAt[1] - stopped) <= .seconds(105))
    }

    @Test("An idle engine that stood still for 40 s goes on")
    func idlePause() {
        var script = MonitorScript.warm()
        script.hangEngine()
        #expect(script.runToConclusion(within: .seconds(60))?.name == "unhealthy")
        script.comeUp()
        script.run(for: .seconds(10))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "healthy"])
        script.run(for: .seconds(300))
        #expect(script.conclusions.count == 2)
    }

    @Test("Who could not ask knows nothing: no descriptor for an hour harms nobody, and is no recovery either")
    func couldNotAsk() {
        var script = MonitorScript.warm()
        script.running = 1
        script.tell(.activity(inflight: 1, lastByte: nil))
        let shortage = MonitorScript.Reply.failure(.ours("Too many open files"))
        (script.models, script.health, script.metrics, script.request) = (shortage, shortage, shortage, shortage)
        script.run(for: .seconds(3600))
        #expect(script.conclusions.isEmpty)
        // What was unpublished before stays so.
        var ill = MonitorScript.warm()
        ill.health = .answer(503)
        #expect(ill.runToConclusion(within: .seconds(3))?.name == "unhealthy")
        (ill.models, ill.health, ill.metrics, ill.request) = (shortage, shortage, shortage, shortage)
        ill.run(for: .seconds(3600))
        #expect(ill.conclusions.map(\.name) == ["unhealthy"])
        ill.comeUp()
        ill.metrics = nil
        ill.run(for: .seconds(10))
        #expect(ill.conclusions.map(\.name) == ["unhealthy", "healthy"])
    }

    @Test("Slow is not dead: requests take minutes, counters move")
    func slow() {
        var script = MonitorScript.warm()
        script.stepping = 0.5
        script.running = 100
        script.request = .silence
        script.tell(.activity(inflight: 100, lastByte: nil))
        script.run(for: .seconds(3600))
        #expect(script.conclusions.isEmpty)
    }

    @Test("Bytes flow, nothing else does: nothing is unpublished")
    func bytesFlow() {
        var script = MonitorScript.warm()
        script.freeze()
        for _ in 0..<600 {
            script.tell(.activity(inflight: 3, lastByte: script.now))
            script.run(for: .seconds(1))
        }
        #expect(script.conclusions.isEmpty)
    }

    @Test("Row: front end overloaded. Probes take 40 s while counters, when they come, move")
    func overloaded() {
        var script = MonitorScript.warm()
        script.stepping = 20
        script.running = 50
        script.models = .silence
        script.health = .silence
        script.request = .silence
        script.tell(.activity(inflight: 50, lastByte: nil))
        script.run(for: .seconds(300))
        #expect(script.conclusions.isEmpty)
    }

    @Test("A single step of 50 s under load is a long step, not a hang")
    func longStep() {
        var script = MonitorScript.warm()
        script.running = 1
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.hangEngine()
        script.run(for: .seconds(50))
        script.stepping = 5
        script.run(for: .seconds(300))
        #expect(script.conclusions.isEmpty)
    }

    @Test("Frozen counters, but the canary answers: a client that does not read is not a hang")
    func slowReader() {
        var script = MonitorScript.warm()
        script.tell(.activity(inflight: 1, lastByte: script.now))
        script.run(for: .seconds(600))
        #expect(script.conclusions.isEmpty)
        #expect(script.count(.request) > 5)
    }

    @Test("Missing counters are not frozen ones: one canary that fails is not enough, two are")
    func missingCounters() throws {
        var script = MonitorScript.warm()
        script.hasCounters = false
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.hangEngine()
        let before = script.count(.request)
        #expect(script.runToConclusion(within: .seconds(100))?.name == "unhealthy")
        #expect(script.isCondemned)
        #expect(script.count(.request) - before == 2)
        #expect(script.elapsed >= 80)
    }

    @Test("/metrics that are not served at all: the same")
    func noMetrics() {
        var script = MonitorScript.warm()
        script.metrics = .answer(404, MonitorScript.notFound)
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.hangEngine()
        let before = script.count(.request)
        script.run(for: .seconds(100))
        #expect(script.isCondemned)
        #expect(script.count(.request) - before == 2)
    }

    @Test("Row: busy. 503 of a request is neither death nor hang")
    func busy() {
        var script = MonitorScript.warm()
        script.request = .answer(503, #"{"error":{"message":"The engine is currently busy"}}"#)
        script.stepping = 10
        script.run(for: .seconds(600))
        #expect(script.conclusions.isEmpty)
    }

    @Test("A hung engine whose queue is full: condemned by its own count, after twice the time")
    func busyAndHung() {
        var script = MonitorScript.warm()
        script.running = 8
        script.tell(.activity(inflight: 8, lastByte: nil))
        script.request = .answer(503, #"{"error":{"message":"The engine is currently busy"}}"#)
        script.run(for: .seconds(110))
        #expect(script.conclusions.isEmpty)
        script.run(for: .seconds(20))
        #expect(script.isCondemned)
    }

    @Test("Row: asleep. Unhealthy, never condemned, and back when it wakes")
    func asleep() {
        var script = MonitorScript.warm()
        script.awake = 0
        script.request = .silence
        script.tell(.activity(inflight: 1, lastByte: nil))
        script.run(for: .seconds(600))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        script.awake = 1
        script.request = .answer(200, MonitorScript.token)
        script.tell(.activity(inflight: 0, lastByte: nil))
        script.run(for: .seconds(10))
        #expect(script.conclusions.map(\.name) == ["unhealthy", "healthy"])
    }

    @Test("Row: wrong or missing key. Misconfigured at once; heals after a request")
    func unauthorized() {
        var script = MonitorScript.warm()
        script.models = .answer(401, #"{"error":"Unauthorized"}"#)
        script.request = .answer(401, #"{"error":"Unauthorized"}"#)
        script.run(for: .seconds(300))
        #expect(script.conclusions.map(\.name) == ["misconfigured"])
        script.comeUp()
        script.run(for: .seconds(5))
        #expect(script.conclusions.map(\.name) == ["misconfigured", "healthy"])
    }

    @Test(
        "Its front end stopped (SIGSTOP): unhealthy after three silences, condemned after hang_after and two canaries")
    func frontEndStopped() {
        var script = MonitorScript.warm()
        script.freeze()
        let stopped = script.now
        script.run(for: .seconds(40))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        script.run(for: .seconds(100))
        #expect(script.isCondemned)
        #expect((60...120).contains((script.concludedAt[1] - stopped).seconds))
    }

    @Test("The gateway saw a refusal: asked at once, and believed at once")
    func suspected() {
        var script = MonitorScript.warm()
        script.goDown()
        script.tell(.suspected("connection refused"))
        script.run(for: .milliseconds(50))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        #expect(!script.isCondemned)
    }

    @Test("The gateway suspects, the server answers: nothing happens")
    func suspectedWrongly() {
        var script = MonitorScript.warm()
        script.tell(.suspected("stale connection"))
        script.run(for: .seconds(10))
        #expect(script.conclusions.isEmpty)
    }

    @Test("An adapter comes and goes: told once each")
    func modelsChange() {
        var script = MonitorScript.warm()
        script.models = .answer(200, #"{"data":[{"id":"org/m","root":"org/m"},{"id":"ad","parent":"org/m"}]}"#)
        script.run(for: .seconds(20))
        #expect(script.conclusions.map(\.name) == ["modelsChanged"])
        script.models = .answer(200, MonitorScript.list)
        script.run(for: .seconds(20))
        #expect(script.conclusions.map(\.name) == ["modelsChanged", "modelsChanged"])
    }

    @Test("An abort without a token: unhealthy, back when it makes tokens again")
    func aborts() {
        var script = MonitorScript.warm()
        script.request = .answer(
            200, #"{"choices":[{"text":"","finish_reason":"abort"}],"usage":{"completion_tokens":0}}"#)
        script.run(for: .seconds(100))
        #expect(script.conclusions.map(\.name) == ["unhealthy"])
        script.comeUp()
        script.run(for: .seconds(10))
        #expect(script.lastConclusion?.name == "healthy")
    }

    @Test("Adopted: counts as warm, and a hung one is found out all the same")
    func adopted() {
        var script = MonitorScript()
        script.comeUp()
        script.tell(.adopted([ModelCard(id: "org/m", root: "org/m")]))
        script.run(for: .seconds(20))
        #expect(script.conclusions.isEmpty)
        var hung = MonitorScript()
        hung.comeUp()
        hung.hangEngine()
        hung.tell(.adopted([ModelCard(id: "org/m", root: "org/m")]))
        hung.run(for: .seconds(100))
        #expect(hung.conclusions.map(\.name) == ["unhealthy", "condemned"])
    }

    @Test("An answer that the shell lost is one that timed out")
    func lostAnswers() {
        var script = MonitorScript.warm()
        let order = script.monitor.handle(.suspected("x"), at: script.now)
        // These answers never arrive.
        #expect(!order.isEmpty)
        script.run(for: .seconds(30))
        #expect(script.conclusions.isEmpty)
        #expect(script.monitor.checks(at: script.now).first { $0.signal == .models }?.ok == true)
    }

    @Test("Checks and load, for status")
    func report() {
        var script = MonitorScript.warm()
        script.stepping = 10
        script.running = 3
        script.run(for: .seconds(10))
        let checks = script.monitor.checks(at: script.now)
        #expect(checks.map(\.signal) == [.health, .models, .progress, .canary])
        #expect(checks.allSatisfy { $0.ok && $0.ageSeconds < 12 })
        #expect(script.monitor.load?.running == 3)
        #expect((15...25).contains(script.monitor.load?.tokensPerSecond ?? 0))
    }
}
