import Fleet
import Testing

@testable import Health

@Suite("Which real request a server takes")
struct WarmupPlanTests {
    private func answer(_ status: Int, _ text: String = "") -> HTTPProbeResult.Outcome {
        .answer(status: status, body: Array(text.utf8))
    }

    private let token = #"{"choices":[{"text":" a","finish_reason":"length"}],"usage":{"completion_tokens":1}}"#

    @Test("Completions first, for the base model, one token, as JSON")
    func request() throws {
        let plan = WarmupPlan()
        let cards = [ModelCard(id: "adapter", parent: "b"), ModelCard(id: "org/\"m\"")]
        let request = try #require(plan.request(for: cards))
        #expect(request.path == "/v1/completions")
        let body = try #require(JSONText.parse(request.body))
        #expect(body["model"]?.string == "org/\"m\"")
        #expect(body["max_tokens"]?.number == 1)
        #expect(plan.request(for: []) == nil)
    }

    @Test("Every kind's body is a JSON object with the model")
    func bodies() {
        for kind in WarmupRequest.allCases {
            #expect(JSONText.parse(kind.body(model: "m"))?["model"]?.string == "m")
        }
    }

    @Test("A token is warm, and the kind is remembered")
    func warm() {
        var plan = WarmupPlan()
        #expect(plan.take(answer(200, token)) == .warm)
        #expect(plan.remembered == .completions && plan.provesEngine)
        #expect(plan.take(answer(200, token)) == .warm)
    }

    @Test("A first token that ends the text is a token too")
    func emptyToken() {
        var plan = WarmupPlan()
        #expect(plan.take(answer(200, #"{"choices":[{"text":"","finish_reason":"stop"}]}"#)) == .warm)
    }

    @Test("404 and 405 lead on, to the last")
    func routes() {
        var plan = WarmupPlan()
        for _ in 1..<WarmupRequest.allCases.count { #expect(plan.take(answer(404)) == .tryNext) }
        #expect(plan.take(answer(405)) == .nothingToAsk)
        #expect(plan.current == nil)
    }

    @Test("A 400 is alive, but a kind that makes something is better")
    func badRequests() {
        var plan = WarmupPlan()
        #expect(plan.take(answer(404)) == .tryNext)
        #expect(plan.take(answer(400)) == .tryNext)
        #expect(plan.take(answer(200, #"{"data":[{"embedding":[1]}]}"#)) == .warm)
        #expect(plan.remembered == .embeddings)
        var other = WarmupPlan()
        #expect(other.take(answer(400)) == .tryNext)
        for _ in 2..<WarmupRequest.allCases.count { #expect(other.take(answer(404)) == .tryNext) }
        #expect(other.take(answer(404)) == .alive)
        #expect(other.current == .completions && !other.provesEngine)
        #expect(other.take(answer(400)) == .alive)
    }

    @Test("A remembered route that is gone: from the beginning")
    func changed() {
        var plan = WarmupPlan()
        #expect(plan.take(answer(404)) == .tryNext)
        #expect(plan.take(answer(200, token)) == .warm)
        #expect(plan.take(answer(404)) == .tryNext)
        #expect(plan.current == .completions)
    }

    @Test("What is neither warm nor a reason to go on")
    func others() {
        var plan = WarmupPlan()
        let abort = #"{"choices":[{"text":"","finish_reason":"abort"}],"usage":{"completion_tokens":0}}"#
        #expect(plan.take(answer(200, abort)) == .aborted)
        func name(_ verdict: WarmupVerdict) -> String { String(describing: verdict).prefix { $0 != "(" }.description }
        #expect(name(plan.take(answer(503, #"{"error":{"message":"currently busy"}}"#))) == "busy")
        #expect(name(plan.take(answer(429))) == "busy")
        #expect(name(plan.take(answer(401, #"{"error":"Unauthorized"}"#))) == "unauthorized")
        #expect(name(plan.take(answer(500, #"{"error":{"message":"EngineCore encountered an issue."}}"#))) == "dead")
        #expect(name(plan.take(answer(200, #"{"error":{"message":"EngineDeadError"}}"#))) == "dead")
        #expect(name(plan.take(answer(500))) == "failing")
        #expect(name(plan.take(answer(200, "<html>"))) == "failing")
        #expect(name(plan.take(answer(200, #"{"choices":[]}"#))) == "failing")
        #expect(name(plan.take(.failure(.timedOut))) == "unanswered")
        #expect(plan.current == .completions)
    }
}
