import Fleet
import Foundation
import Testing

@testable import Gateway

/// Decisions without sockets: selection, exchange and retry, holding back, paths, listing.
@Suite struct DecisionTests {
    // MARK: Exchange

    private static func script(
        _ events: [Exchange.Event], kind: Exchange.Kind = .routed, reused: Bool = false, sent: Bool = true
    ) -> [Exchange.Action] {
        var exchange = Exchange()
        exchange.kind = kind
        exchange.isReused = reused
        exchange.hasSent = sent
        return events.map {
            let action = exchange.handle($0)
            if action == .retryFresh { exchange.isReused = false }
            return action
        }
    }

    @Test func triesOnceOnAnotherInstance() {
        #expect(
            Self.script([.connectFailed(timedOut: false), .connectFailed(timedOut: false)])
                == [.retryElsewhere(.refused, exempt: true), .fail(.modelUnavailable)])
        #expect(
            Self.script([.connectFailed(timedOut: true), .refusedRetry(.timedOut)])
                == [.retryElsewhere(.timedOut, exempt: false), .fail(.upstreamTimeout)])
        #expect(
            Self.script([.lost(anyByte: true), .lost(anyByte: false)])
                == [.retryElsewhere(.lost, exempt: true), .fail(.upstreamLost)])
        #expect(
            Self.script([.answer(.busy), .answer(.busy)]) == [.retryElsewhere(.busy, exempt: false), .passOn])
        #expect(
            Self.script([.answer(.firstEventError), .refusedRetry(.firstEventError)])
                == [.retryElsewhere(.firstEventError, exempt: false), .passOn])
        #expect(Self.script([.answer(.engineDead)]) == [.retryElsewhere(.engineDead, exempt: true)])
    }

    @Test func aStaleConnectionIsNobodysFault() {
        #expect(
            Self.script([.lost(anyByte: false), .lost(anyByte: false)], reused: true)
                == [.retryFresh, .retryElsewhere(.lost, exempt: true)])
        #expect(Self.script([.lost(anyByte: true)], reused: true) == [.retryElsewhere(.lost, exempt: true)])
        #expect(
            Self.script([.lost(anyByte: false), .lost(anyByte: false)], kind: .passthrough, reused: true)
                == [.retryFresh, .fail(.upstreamLost)])
    }

    @Test func passthroughIsNotRepeatedOnceSent() {
        #expect(Self.script([.lost(anyByte: false)], kind: .passthrough) == [.fail(.upstreamLost)])
        #expect(Self.script([.answer(.busy)], kind: .passthrough) == [.passOn])
        #expect(
            Self.script([.connectFailed(timedOut: false)], kind: .passthrough, sent: false)
                == [.retryElsewhere(.refused, exempt: true)])
    }

    @Test func nothingIsTriedAgainOnceTheClientHasSeenAByte() {
        for event in [
            Exchange.Event.lost(anyByte: true), .answer(.busy), .connectFailed(timedOut: false), .refusedRetry(.busy),
        ] { #expect(Self.script([.commit, event]) == [.proceed, .proceed]) }
        #expect(Self.script([.commit, .lostAfterCommit]) == [.proceed, .endStream])
    }

    @Test func twoDeathsMakeARequestSuspect() {
        func deaths(_ events: [Exchange.Event], kind: Exchange.Kind = .routed, reused: Bool = false) -> Bool {
            var exchange = Exchange()
            exchange.kind = kind
            exchange.isReused = reused
            exchange.hasSent = true
            for event in events {
                if exchange.handle(event) == .retryFresh { exchange.isReused = false }
            }
            return exchange.isSuspect
        }
        #expect(deaths([.lost(anyByte: false), .lost(anyByte: true)]))
        #expect(deaths([.answer(.engineDead), .answer(.engineDead)]))
        #expect(deaths([.answer(.engineDead), .commit, .lostAfterCommit]))
        #expect(!deaths([.lost(anyByte: false), .connectFailed(timedOut: false)]))
        #expect(!deaths([.answer(.busy), .lost(anyByte: false)]))
        #expect(!deaths([.commit, .lostAfterCommit]))
        #expect(
            !deaths([.lost(anyByte: false), .lost(anyByte: false)], reused: true), "a stale connection is no death")
        #expect(!deaths([.lost(anyByte: false), .lost(anyByte: false)], kind: .inquiry))
    }

    @Test func inquiriesAskEachInTurn() {
        #expect(
            Self.script([.answer(.notFound), .answer(.notFound), .answer(.notFound)], kind: .inquiry)
                == [Exchange.Action](repeating: .retryElsewhere(.notFound, exempt: true), count: 3))
        #expect(
            Self.script([.connectFailed(timedOut: false), .lost(anyByte: false), .answer(.notFound)], kind: .inquiry)
                == [
                    .retryElsewhere(.refused, exempt: true), .retryElsewhere(.lost, exempt: true),
                    .retryElsewhere(.notFound, exempt: true),
                ])
    }

    @Test func theBudgetIsAFifthWithAFloor() {
        let budget = RetryBudget()
        #expect((0..<20).filter { _ in budget.withdraw(second: 100) }.count == 10)
        #expect(budget.withdraw(second: 101))
        for _ in 0..<1000 { budget.count(second: 105) }
        // 200 for 1,000 requests, less the 11 of the same ten seconds.
        #expect((0..<500).filter { _ in budget.withdraw(second: 105) }.count == 189)
        #expect((0..<20).filter { _ in budget.withdraw(second: 130) }.count == 10)
    }

    // MARK: Holding back

    private static let emptyAbort = #"data: {"choices":[{"delta":{"content":""},"finish_reason":"abort"}]}"# + "\n\n"
    private static let starts: [(String, StreamStart)] = [
        ("", .undecided), (": ping\n\n", .undecided), (roleEvent, .undecided), (roleEvent + ": x\n\n", .undecided),
        (roleEvent + tokenEvent("a"), .content), (roleEvent + "data: {\"ch", .undecided), (tokenEvent("a"), .content),
        ("data: {\"error\":{\"message\":\"x\"}}\n\n", .error),
        (roleEvent + "data: {\"error\":{\"message\":\"x\"}}\n\n", .error),
        ("event: error\ndata: {\"type\":\"error\"}\n\n", .error), ("event: response.created\ndata: {}\n\n", .content),
        ("event: response.failed\ndata: {}\n\n", .error), ("event: message_start\r\ndata: {}\r\n\r\n", .content),
        (roleEvent + emptyAbort, .aborted),
        (roleEvent + "data: [DONE]\n\n", .aborted), ("data: [DONE]\n\n", .aborted),
        (roleEvent + #"data: {"choices":[],"usage":{"completion_tokens":0}}"# + "\n\ndata: [DONE]\n\n", .aborted),
        (roleEvent + #"data: {"choices":[],"usage":{"completion_tokens":5}}"# + "\n\ndata: [DONE]\n\n", .content),
        (#"data: {"choices":[{"text":"","finish_reason":"abort"}]}"# + "\n\n", .aborted),
        (#"data: {"choices":[{"text":"abc","finish_reason":"abort"}]}"# + "\n\n", .content),
        (#"data: {"choices":[{"delta":{"content":"\"abort\""},"finish_reason":null}]}"# + "\n\n", .content),
        (
            #"data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"# + "\n\n",
            .undecided
        ),
    ]

    @Test(arguments: starts)
    func judges(_ text: String, _ verdict: StreamStart) {
        #expect(withView(text) { StreamStart.judge($0) } == verdict, "\(text)")
    }

    @Test func knowsAnEmptyAbort() {
        let empty = #"{"choices":[{"message":{"content":""},"finish_reason":"abort"}],"usage":{"completion_tokens":0}}"#
        #expect(withView(empty) { StreamStart.isEmptyAbort($0) })
        let some = empty.replacing("\"completion_tokens\":0", with: "\"completion_tokens\":9")
        #expect(!withView(some) { StreamStart.isEmptyAbort($0) })
        let said =
            #"{"choices":[{"message":{"content":"\"abort\""},"finish_reason":"stop"}],"usage":{"completion_tokens":0}}"#
        #expect(!withView(said) { StreamStart.isEmptyAbort($0) })
    }

    // MARK: Passthrough

    private static func path(_ rest: String) throws(PassthroughPath.Failure) -> PassthroughPath {
        let bytes = Array(rest.utf8)
        let result: Result<PassthroughPath, PassthroughPath.Failure> = withView(bytes) { view in
            do throws(PassthroughPath.Failure) { return .success(try PassthroughPath(view)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    @Test(arguments: [
        ("a/tokenize", "/tokenize", "/tokenize"), ("a/v1/tokenize", "/tokenize", "/tokenize"),
        ("a/models", "/models", "/v1/models"), ("a/v1/models", "/models", "/v1/models"),
        ("a/chat/completions", "/chat/completions", "/v1/chat/completions"), ("a/v2/embed", "/v2/embed", "/v2/embed"),
        ("a/v1/load_lora_adapter", "/load_lora_adapter", "/v1/load_lora_adapter"), ("a/x%20y", "/x y", "/x%20y"),
        ("a/audio/transcriptions", "/audio/transcriptions", "/v1/audio/transcriptions"),
        ("a/health/", "/health/", "/health/"),
    ])
    func placesPaths(_ rest: String, _ canonical: String, _ target: String) throws {
        let path = try Self.path(rest)
        #expect(String(decoding: path.canonical, as: UTF8.self) == canonical)
        #expect(String(decoding: path.target, as: UTF8.self) == target)
        #expect(path.name == Array("a".utf8))
    }

    @Test(arguments: [
        "a/../health", "a/./health", "a//health", "a/%2e%2e/health", "a/%2E/health", "a/x%2fhealth", "a/x%2Fhealth",
        "a/x%5chealth", "a/x\\health", "a/%00", "a/%41", "a/%7e", "a/%2d", "a/%5F", "a/%zz", "a/%4", "a/%",
        "a/health/..",
        "a/v1/../sleep", "a/%30", "a/%0a", "a//",
    ])
    func refusesPaths(_ rest: String) { #expect(throws: PassthroughPath.Failure.invalid) { try Self.path(rest) } }

    @Test func allowsExactlyTheList() throws {
        for route in ["models", "health", "ping", "load", "version", "metrics", "tokenizer_info"] {
            #expect(try Self.path("a/" + route).isAllowed(.get, by: []))
            #expect(try Self.path("a/" + route).isAllowed(.head, by: []))
            #expect(try !Self.path("a/" + route).isAllowed(.post, by: []))
        }
        for route in ["v2/embed", "generative_scoring", "rerank", "v1/rerank", "v2/rerank", "pooling", "v1/messages"] {
            #expect(try Self.path("a/" + route).isAllowed(.post, by: []))
            #expect(try !Self.path("a/" + route).isAllowed(.get, by: []))
        }
        for route in [
            "sleep", "wake_up", "collective_rpc", "load_lora_adapter", "health/", "HEALTH", "v1/v1/models", "models/x",
        ] {
            #expect(try !Self.path("a/" + route).isAllowed(.post, by: []))
            #expect(try !Self.path("a/" + route).isAllowed(.get, by: []))
        }
        #expect(try Self.path("a/sleep").isAllowed(.post, by: ["GET /x", "POST /sleep"]))
        #expect(try Self.path("a/v1/load_lora_adapter").isAllowed(.post, by: ["POST /v1/load_lora_adapter"]))
        #expect(try !Self.path("a/sleep").isAllowed(.get, by: ["POST /sleep"]))
        #expect(try Self.path("a/v1/sleep").entry(.post) == "POST /sleep")
    }

    // MARK: Selection

    private static func table(_ snapshot: RegistrySnapshot) -> RoutingTable {
        var directory = RunDirectory(loops: 1)
        return RoutingTableBuilder.build(snapshot, serial: 1, directory: &directory, number: { _ in 1 })
    }

    private static func found(_ table: RoutingTable, _ selector: String) -> (runs: [String], model: String)? {
        let index = withView(selector) { table.find($0) }
        guard index >= 0 else { return nil }
        let target = table.targets[index]
        let runs = (0..<Int(target.candidateCount)).map { offset in
            table.runs[Int(table.candidates[Int(target.firstCandidate) + offset])].name.string
        }
        return (runs, target.model.string)
    }

    @Test func selectsInTheContractsOrder() throws {
        let table = Self.table(
            fleet([
                ("chat", [instance("chat-0", 1, ["m", "chat-1/m"]), instance("chat-1", 2, ["m", "org/m"])]),
                ("org", [instance("org-0", 3, ["m", "x"])]),
                ("quiet", [instance("quiet-0", 4, ["q"], published: false)]),
            ]))
        #expect(try #require(Self.found(table, "chat/m")) == (["chat-0", "chat-1"], "\"m\""))
        #expect(try #require(Self.found(table, "chat-1/m")) == (["chat-1"], "\"m\""))
        // A provider's own name goes before a bare id of the same letters.
        #expect(try #require(Self.found(table, "org/m")) == (["org-0"], "\"m\""))
        #expect(try #require(Self.found(table, "chat/org/m")) == (["chat-1"], "\"org/m\""))
        #expect(try #require(Self.found(table, "m")) == (["chat-0", "chat-1", "org-0"], ""))
        #expect(try #require(Self.found(table, "x")) == (["org-0"], ""))
        for absent in ["q", "quiet/q", "chat", "chat/", "/m", "chat/x", "", "M"] {
            #expect(Self.found(table, absent) == nil)
        }
        #expect(table.only == -1)
        let single = Self.table(fleet([("a", [instance("a-0", 1, ["m"]), instance("a-1", 2, ["m"])])]))
        #expect(single.only >= 0)
        #expect(single.targets[single.only].candidateCount == 2)
    }

    @Test func tellsLoadingFromUnknown() {
        var snapshot = fleet([("a", [instance("a-0", 1, ["m"], published: false)]), ("b", [instance("b-0", 2, ["n"])])])
        #expect(MissingModel.judge("a/m", snapshot) == .unavailable(provider: 0))
        #expect(MissingModel.judge("a-0/m", snapshot) == .unavailable(provider: 0))
        #expect(MissingModel.judge("m", snapshot) == .unavailable(provider: 0))
        #expect(MissingModel.judge("known/one", snapshot) == .unavailable(provider: 0))
        #expect(MissingModel.judge("b/other", snapshot) == .unknown)
        snapshot.providers[0].instances = []
        #expect(MissingModel.judge("a-0/known/one", snapshot) == .unknown)
        snapshot.providers[0].instanceNames = ["a-0"]
        #expect(MissingModel.judge("a-0/known/one", snapshot) == .unavailable(provider: 0))
        #expect(PassthroughScope("a-0", snapshot).kind == .instance)
        #expect(MissingModel.judge("other", snapshot) == .unknown)
        snapshot.providers[0].settled = false
        #expect(MissingModel.judge("a/other", snapshot) == .unavailable(provider: 0))
        #expect(MissingModel.judge("other", snapshot) == .unknown)
        snapshot.providers[1].settled = false
        #expect(MissingModel.judge("other", snapshot) == .unavailable(provider: 0))
    }

    @Test func choosesTheLeastBusy() {
        var random = Random(seed: 1)
        var chooser = Chooser(limit: 0)
        for (run, inflight) in [3, 1, 2].enumerated() { chooser.consider(run, inflight: inflight, random: &random) }
        #expect(chooser.choice == .run(1))
        var counts = [0, 0, 0]
        for _ in 0..<3000 {
            var chooser = Chooser(limit: 0)
            for run in 0..<3 { chooser.consider(run, inflight: 5, random: &random) }
            if case .run(let run) = chooser.choice { counts[run] += 1 }
        }
        #expect(counts.allSatisfy { $0 > 850 && $0 < 1150 }, "\(counts)")
        var limited = Chooser(limit: 2)
        limited.consider(0, inflight: 2, random: &random)
        #expect(limited.choice == .full)
        limited.consider(1, inflight: 1, random: &random)
        #expect(limited.choice == .run(1))
        #expect(Chooser(limit: 0).choice == .none)
    }

    // MARK: Errors

    @Test func errorsAreJSONInBothDialects() throws {
        struct OpenAI: Decodable {
            struct Body: Decodable { var message: String, type: String, param: String?, code: String }
            var error: Body
        }
        struct Anthropic: Decodable {
            struct Body: Decodable { var message: String, type: String, code: String }
            var type: String
            var error: Body
        }
        for raw in UInt8.min...UInt8.max {
            guard let code = ErrorCode(rawValue: raw) else { break }
            let message = ByteView(code.message).array
            let plain = try JSONDecoder().decode(
                OpenAI.self, from: Data(ErrorEnvelope.body(code, message, dialect: .openAI, param: "model")))
            #expect(plain.error.code == ByteView(code.code).string)
            #expect(plain.error.param == "model")
            let other = try JSONDecoder().decode(
                Anthropic.self, from: Data(ErrorEnvelope.body(code, message, dialect: .anthropic)))
            #expect(other.type == "error")
            #expect(other.error.message == String(decoding: message, as: UTF8.self))
        }
        let event = ErrorEnvelope.event(
            .upstreamLost, dialect: .responses, sequence: 7, responseID: Array("resp_1".utf8))
        let data = try #require(String(decoding: event, as: UTF8.self).components(separatedBy: "data: ").last)
        struct Failed: Decodable {
            struct Response: Decodable { var id: String, status: String }
            var type: String
            var sequence: Int
            var response: Response
            enum CodingKeys: String, CodingKey {
                case type, response
                case sequence = "sequence_number"
            }
        }
        let failed = try JSONDecoder().decode(Failed.self, from: Data(data.utf8))
        #expect(failed.sequence == 7)
        #expect(failed.response.status == "failed")
    }

    @Test func timesAreRFC3339() {
        #expect(Timestamp.rfc3339(0) == "1970-01-01T00:00:00Z")
        #expect(Timestamp.rfc3339(951_782_400) == "2000-02-29T00:00:00Z")
        #expect(Timestamp.rfc3339(1_700_000_000) == "2023-11-14T22:13:20Z")
    }

    @Test func keysAreComparedWhole() {
        func same(_ shown: String, _ key: String) -> Bool {
            withView(shown) { shown in withView(key) { EventLoop.isSame(shown, $0) } }
        }
        #expect(same("mk", "mk"))
        for wrong in ["", "m", "mkmk", "mkm", "km", "MK", "mk ", "mk\0"] { #expect(!same(wrong, "mk")) }
        #expect(!same("", ""))
    }
}
