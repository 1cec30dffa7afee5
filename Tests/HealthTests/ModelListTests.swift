import Fleet
import Testing

@testable import Health

@Suite("Reading /v1/models")
struct ModelListTests {
    private func read(_ status: Int, _ text: String, expected: [String] = [], configured: [String] = []) -> ModelList {
        ModelList.read(status: status, body: Array(text.utf8), expectedIds: expected, configuredIds: configured)
    }

    private func isMisconfigured(_ list: ModelList) -> Bool { if case .misconfigured = list { true } else { false } }

    @Test("Each card is kept byte for byte")
    func cards() throws {
        let first = #"{"id":"org\/m \u00e9", "created":1795341735,"root": "/models/m","parent":null,"#
        let rest = #""max_model_len":1024 ,"permission":[{"a":[1.0e2,{}]}]}"#
        let second = #"{"id":"ad","parent":"org/m é","x":"é😀"}"#
        guard case .cards(let cards) = read(200, "{\"object\":\"list\",\"data\":[ \(first)\(rest) ,\n\(second)]} \n")
        else {
            Issue.record("no cards")
            return
        }
        #expect(cards.map(\.id) == ["org/m é", "ad"])
        #expect(cards.map(\.json) == [first + rest, second])
        #expect(cards[0].root == "/models/m" && cards[0].parent == nil && cards[0].maxModelLen == 1024)
        #expect(cards[1].parent == "org/m é" && cards[1].maxModelLen == nil)
    }

    @Test("Entries that are no cards are left out; doubles too")
    func tolerant() {
        let list = read(200, #"{"data":[1,null,{"id":7},{"id":""},{"id":"a"},{"id":"a","x":1},[]]}"#)
        #expect(list == .cards([ModelCard(id: "a", json: #"{"id":"a"}"#)]))
    }

    @Test(
        "Whatever else answers 200 is another server",
        arguments: [
            "", "<html></html>", "{", "[]", "{}", #"{"data":{}}"#, #"{"data":[]}"#, #"{"data":[{"id":1}]}"#, "null",
            #"{"data":[{"id":"a"}]}x"#, String(repeating: "[", count: 100_000), "{\"data\":[{\"id\":\"a\nb\"}]}",
        ])
    func garbage(text: String) { #expect(isMisconfigured(read(200, text))) }

    @Test("Refusals: vLLM's 401 is a bare string")
    func refusals() {
        guard case .misconfigured(let reason) = read(401, #"{"error":"Unauthorized"}"#) else {
            Issue.record("not misconfigured")
            return
        }
        #expect(reason.contains("API key") && reason.contains("Unauthorized"))
        #expect(isMisconfigured(read(401, #"{"error":{"message":"bad key"}}"#)))
        #expect(isMisconfigured(read(403, "")))
        #expect(isMisconfigured(read(302, "")))
        #expect(isMisconfigured(read(404, "nginx")))
        #expect(read(404, "", configured: ["a"]) == .cards([ModelCard(id: "a")]))
        #expect(isMisconfigured(read(401, "", configured: ["a"])))
        for status in [429, 500, 502, 503] {
            if case .failing = read(status, "") { continue }
            Issue.record("\(status) is not failing")
        }
    }

    @Test("Expected ids: one of them must be there")
    func expected() {
        let text = #"{"data":[{"id":"a"},{"id":"b"}]}"#
        #expect(!isMisconfigured(read(200, text, expected: ["x", "b"])))
        guard case .misconfigured(let reason) = read(200, text, expected: ["x"]) else {
            Issue.record("not misconfigured")
            return
        }
        #expect(reason.contains("a, b") && reason.contains("instead of x"))
    }

    @Test("Random changes never trap, and never make a card of half a document")
    func hostile() {
        var generator = SeededGenerator(state: 9)
        let text = Array(#"{"object":"list","data":[{"id":"org/m\ud83d\ude00","max_model_len":1024,"p":[{}]}]}"#.utf8)
        for _ in 0..<5000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1..<4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = ModelList.read(status: 200, body: bytes)
        }
        for length in 0..<text.count {
            #expect(isMisconfigured(ModelList.read(status: 200, body: Array(text[..<length]))))
        }
    }

    @Test("The same models, in whatever order")
    func same() {
        let one = ModelCard(id: "a", json: "1", maxModelLen: 5)
        let other = ModelCard(id: "b")
        #expect(ModelList.areSame([one, other], [other, ModelCard(id: "a", json: "2", maxModelLen: 5)]))
        #expect(!ModelList.areSame([one], [ModelCard(id: "a", maxModelLen: 6)]))
        #expect(!ModelList.areSame([one], [one, other]))
    }

    @Test("Strings quoted and read back are the same")
    func quoting() {
        for text in ["", "a\"b\\c\n\r\t\u{1}\u{1f}/é😀", "org/m"] {
            #expect(JSONText.parse(Array(JSONText.quoted(text).utf8))?.string == text)
        }
    }
}
