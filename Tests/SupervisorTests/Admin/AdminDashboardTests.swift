import Fleet
import FoundationEssentials
import Testing

@testable import Supervisor

@Suite("The dashboard's routes", .serialized, .timeLimit(.minutes(2)))
struct AdminDashboardTests {
    static let bearer = ("Authorization", "Bearer \(AdminFixture.token)")
    static let json = ("Content-Type", "application/json")
    static let chat = #"{"model":"chat/org/m","messages":[{"role":"user","content":"Hi"}],"stream":true}"#

    /// An answer in two parts.
    static func answer(status: Int = 200, type: String = "text/event-stream") -> @Sendable () -> ChatAnswer {
        {
            let (body, source) = AsyncThrowingStream.makeStream(of: [UInt8].self)
            source.yield(Array("data: {\"a\":1}\n\n".utf8))
            source.yield(Array("data: [DONE]\n\n".utf8))
            source.finish()
            return ChatAnswer(status: status, contentType: type, instance: "chat-0", body: body)
        }
    }

    @Test("Every file is embedded, is what it was, and refers to none that is not")
    func files() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources/CDashboard/page")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
        #expect(Set(names) == Set(Dashboard.files.keys))
        for (name, file) in Dashboard.files {
            #expect(try Array(Data(contentsOf: folder.appending(path: name))) == file.bytes, "\(name)")
            let text = String(decoding: file.bytes, as: UTF8.self)
            for word in text.split(whereSeparator: { $0 == "'" || $0 == "\"" }) where word.hasPrefix("./") {
                #expect(Dashboard.part(String(word.dropFirst(2))) != nil, "\(name) imports \(word)")
            }
            // Text is only ever put in as text, and nothing comes from elsewhere.
            let forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"]
            for bad in forbidden where !(name == "try.js" && bad == "https://") {
                #expect(!text.contains(bad), "\(bad) in \(name)")
            }
        }
        #expect(Dashboard.part("index.html") == nil && Dashboard.part("login.html") == nil)
    }

    @Test("The page's parts; one that is not there, one that would lead out of the folder")
    func parts() async throws {
        try await AdminFixture.run { fixture in
            let page = try await fixture.ask("GET", "/")
            #expect(page.text.contains("/dashboard/main.js") && !page.text.contains("<script>"))
            #expect(try await fixture.ask("GET", "/dashboard/fleet.js").status == 200)
            for path in ["/dashboard/", "/dashboard/none.js", "/dashboard/../login.css", "/dashboard/index.html"] {
                #expect(try await fixture.ask("GET", path).status == 404, "\(path)")
            }
            #expect(try await fixture.ask("POST", "/dashboard/main.js", headers: [Self.bearer]).status == 405)
        }
    }

    @Test("The last minutes and what happened")
    func past() async throws {
        try await AdminFixture.run { fixture in
            let history = try await fixture.ask("GET", "/api/v1/history")
            let minutes = try JSONDecoder().decode(MinuteHistory.self, from: Data(history.body))
            #expect(minutes.instances["chat-0"]?.tokensPerSecond == [812.4])
            #expect(minutes.instances["chat-1"]?.waiting == [nil])
            #expect(minutes.gateway.inflight == [7] && minutes.intervalSeconds == 5)
            struct Events: Decodable { var events: [TimelineEvent] }
            let all = try JSONDecoder().decode(
                Events.self, from: Data(try await fixture.ask("GET", "/api/v1/timeline").body))
            #expect(all.events.map(\.number) == [1, 2, 3, 4])
            let later = try await fixture.ask("GET", "/api/v1/timeline?after=3")
            #expect(try JSONDecoder().decode(Events.self, from: Data(later.body)).events.map(\.number) == [4])
            #expect(try await fixture.ask("GET", "/api/v1/timeline?after=x").status == 400)
        }
    }

    @Test("A chat: relayed unaltered, streamed back, with the instance's name and nothing else of the gateway's")
    func tryChat() async throws {
        try await AdminFixture.run { fixture in
            fixture.control.state.withLock { $0.chatAnswer = Self.answer() }
            let answer = try await fixture.ask(
                "POST", "/api/v1/try", headers: [Self.bearer, Self.json], body: Self.chat)
            #expect(answer.status == 200 && answer.text == "data: {\"a\":1}\n\ndata: [DONE]\n\n")
            #expect(answer.headers["content-type"] == "text/event-stream")
            #expect(answer.headers["x-stoker-instance"] == "chat-0")
            #expect(answer.headers["content-security-policy"] != nil)
            #expect(fixture.control.state.withLock { $0.chats } == [Array(Self.chat.utf8)])
            fixture.control.state.withLock { $0.chatAnswer = Self.answer(status: 503, type: "application/json") }
            let busy = try await fixture.ask(
                "POST", "/api/v1/try", headers: [Self.bearer, Self.json], body: Self.chat)
            #expect(busy.status == 503 && busy.headers["content-type"] == "application/json")
        }
    }

    @Test(
        "A chat is refused without a token, from elsewhere, by GET, without JSON, without a model, too long, too many")
    func tryRefusals() async throws {
        try await AdminFixture.run { fixture in
            let good = [Self.bearer, Self.json]
            let long = String(repeating: "x", count: AdminResponder.longestBody)
            let rows: [(headers: [(String, String)], body: String, status: Int)] = [
                ([Self.json], Self.chat, 401),
                (good + [("Origin", "http://evil.example")], Self.chat, 403),
                (good + [("Sec-Fetch-Site", "cross-site")], Self.chat, 403),
                ([Self.bearer, ("Content-Type", "text/plain")], Self.chat, 415),
                (good, "{}", 400),
                (good, #"{"model":1,"messages":[]}"#, 400),
                (good, #"{"model":"m","messages":"x"}"#, 400),
                (good, "not JSON", 400),
                (good, #"{"model":"m","messages":[],"x":"\#(long)"}"#, 413),
            ]
            for row in rows {
                let answer = try await fixture.ask("POST", "/api/v1/try", headers: row.headers, body: row.body)
                #expect(answer.status == row.status, "\(row.headers) \(row.body.prefix(60)): \(answer.text)")
            }
            let get = try await fixture.ask("GET", "/api/v1/try", headers: [Self.bearer])
            #expect(get.status == 405)
            #expect(fixture.control.state.withLock { $0.chats }.isEmpty)
            let absent = try await fixture.ask("POST", "/api/v1/try", headers: good, body: Self.chat)
            #expect(absent.status == 502, "the gateway does not answer")
            fixture.control.fail(with: .refused("8 chats are being tried already"))
            let many = try await fixture.ask("POST", "/api/v1/try", headers: good, body: Self.chat)
            #expect(many.status == 409)
        }
    }

    @Test("A person who leaves ends the chat")
    func tryLeaves() async throws {
        try await AdminFixture.run { fixture in
            let (ends, end) = AsyncStream.makeStream(of: Void.self)
            fixture.control.state.withLock { state in
                // The answer's only holder is whoever reads it, as with the real one.
                state.chatAnswer = {
                    let (body, source) = AsyncThrowingStream.makeStream(of: [UInt8].self)
                    source.onTermination = { _ in end.finish() }
                    Task {
                        while true {
                            if case .terminated = source.yield(Array("data: {}\n\n".utf8)) { return }
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                    return ChatAnswer(status: 200, contentType: nil, instance: nil, body: body)
                }
            }
            let client = fixture.tcp
            _ = try await blocking {
                try client.stream(
                    "POST", "/api/v1/try", headers: [Self.bearer, Self.json], body: Array(Self.chat.utf8),
                    silence: .seconds(10)
                ) { _, _, _ in false }
            }
            // Ends, or the test's time is over.
            for await _ in ends {}
        }
    }

    @Test("Large reports are sent less often")
    func calm() {
        #expect(AdminResponder.calm(after: 3_000) == .milliseconds(100))
        #expect(AdminResponder.calm(after: 500_000) == .seconds(1))
    }
}
