import Fleet
import Testing

@testable import Health

/// A generator whose sequence follows from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite("Whatever happens to a run, in whatever order")
struct MonitorRandomTests {
    private static let bodies = [
        "", "{", "[]", "<html>", MonitorScript.list, MonitorScript.token, MonitorScript.notFound, #"{"data":[]}"#,
        #"{"data":[{"id":""},7,null,{"id":"a"}]}"#, #"{"error":"Unauthorized"}"#,
        #"{"error":{"message":"EngineCore encountered an issue"}}"#, "vllm:num_requests_running 1e300\n",
        #"{"data":[{"id":"m","max_model_len":1e400}]}"#, "vllm:iteration_tokens_total_count NaN\n",
    ]

    private static func reply(_ generator: inout SeededGenerator) -> MonitorScript.Reply {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: return .silence
        case 1: return .failure([.refused, .lost, .tls("x"), .other("y")].randomElement(using: &generator)!)
        default:
            let status = [200, 200, 200, 400, 401, 404, 405, 429, 500, 503].randomElement(using: &generator)!
            let delay = Duration.milliseconds(Int.random(in: 1..<8000, using: &generator))
            return .answer(status, bodies.randomElement(using: &generator)!, after: delay)
        }
    }

    private static func change(_ script: inout MonitorScript, _ generator: inout SeededGenerator) {
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: script.models = reply(&generator)
        case 1: script.health = reply(&generator)
        case 2: script.metrics = reply(&generator)
        case 3: script.request = reply(&generator)
        case 4: script.comeUp()
        case 5: script.goDown()
        case 6: script.freeze()
        case 7: script.hangEngine()
        case 8: script.stepping = Double.random(in: 0..<50, using: &generator)
        case 9: script.iterations = Double.random(in: 0..<1000, using: &generator)
        case 10: script.awake = Bool.random(using: &generator) ? 1 : 0
        case 11: script.hasCounters.toggle()
        case 12: script.tell(.suspected("x"))
        case 13: script.tell(.endpointChanged)
        case 14:
            script.tell(.activity(inflight: Int.random(in: 0..<5, using: &generator), lastByte: script.now))
        default:
            let id = UInt64.random(in: 0..<200, using: &generator)
            script.tell(
                .answered(id, HTTPProbeResult(outcome: .failure(.timedOut), began: script.now, elapsed: .zero)))
        }
    }

    @Test("the invariants hold", arguments: 0..<90)
    func invariants(seed: Int) {
        var generator = SeededGenerator(state: UInt64(seed))
        let kind: ProviderKind = seed.isMultiple(of: 2) ? .launched : .attached
        var script = MonitorScript(kind, warmup: seed.isMultiple(of: 7) ? .none : .auto) {
            $0.hangAfter = .seconds([2, 10, 60][seed % 3])
            $0.interval = .milliseconds([100, 500, 2000][seed % 3])
            $0.canary = seed.isMultiple(of: 5) ? .off : .idle
            $0.unhealthyAfter = seed % 4
        }
        script.tell(.began)
        for _ in 0..<120 {
            Self.change(&script, &generator)
            script.run(for: .milliseconds(Int.random(in: 1..<4000, using: &generator)))
            #expect((script.monitor.nextWake == nil) == script.isCondemned)
            _ = script.monitor.checks(at: script.now)
            _ = script.monitor.load
        }
        check(script, kind: kind)
    }

    /// Never condemned where attached, last where launched; published only when warm; each word once.
    private func check(_ script: MonitorScript, kind: ProviderKind) {
        let names = script.conclusions.map(\.name)
        #expect(kind == .launched || !names.contains("condemned"))
        if let condemned = names.firstIndex(of: "condemned") {
            #expect(condemned == names.count - 1)
            #expect(names[condemned - 1] == "unhealthy" || names.dropLast().contains("unhealthy"))
        }
        var isPublished = false
        var wasWarm = false
        var trouble: String?
        for name in names {
            switch name {
            case "listening": #expect(!wasWarm)
            case "warm":
                #expect(!isPublished && !wasWarm)
                (isPublished, wasWarm, trouble) = (true, true, nil)
            case "healthy":
                #expect(wasWarm && !isPublished && trouble != nil)
                (isPublished, trouble) = (true, nil)
            case "modelsChanged": #expect(isPublished)
            case "condemned": #expect(!isPublished)
            default:
                #expect(name != trouble || !wasWarm)
                (isPublished, trouble) = (false, name)
            }
        }
    }

    @Test("a single probe that times out never condemns", arguments: HealthMonitor.ProbeKind.allCases)
    func singleTimeout(kind: HealthMonitor.ProbeKind) {
        var script = MonitorScript.warm { $0.hangAfter = .seconds(10) }
        script.run(for: .seconds(9))
        switch kind {
        case .models: script.models = .silence
        case .health: script.health = .silence
        case .metrics: script.metrics = .silence
        case .request: script.request = .silence
        }
        let before = script.count(kind)
        while script.count(kind) == before { script.run(for: .milliseconds(10)) }
        script.comeUp()
        script.run(for: .seconds(300))
        #expect(script.conclusions.isEmpty)
    }

    @Test("a server that works is published in the end, whatever was before", arguments: 0..<50)
    func settles(seed: Int) {
        var generator = SeededGenerator(state: UInt64(seed) &+ 77)
        var script = MonitorScript(.attached)
        script.tell(.began)
        for _ in 0..<60 {
            Self.change(&script, &generator)
            script.run(for: .milliseconds(Int.random(in: 1..<4000, using: &generator)))
        }
        script.comeUp()
        script.hasCounters = true
        script.awake = 1
        script.running = 0
        script.tell(.activity(inflight: 0, lastByte: nil))
        script.run(for: .seconds(200))
        let last = script.conclusions.last { $0.name != "modelsChanged" }
        #expect(last?.name == "warm" || last?.name == "healthy")
    }
}
