import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Admin: an instance's output", .serialized)
struct AdminLogsTests {
    /// Asks for logs over the Unix socket of a server whose chat-0 has this output.
    func with(_ text: String, previous: String? = nil, _ body: (AdminFixture, String) async throws -> Void) async throws
    {
        try await AdminFixture.run { fixture in
            let directory = try TemporaryDirectory()
            defer { directory.remove() }
            let path = directory.write("chat-0.2.log", text)
            let old = previous.map { directory.write("chat-0.1.log", $0) }
            fixture.control.state.withLock { state in
                state.logPaths["chat-0"] = path
                state.previousLogPaths["chat-0"] = old
            }
            try await body(fixture, path)
        }
    }

    func logs(
        _ fixture: AdminFixture, _ query: String = "", _ headers: [(String, String)] = []
    ) async throws -> AdminClient.Answer {
        try await fixture.askUnix("GET", "/api/v1/instances/chat-0/logs\(query)", headers: headers)
    }

    @Test("All of it, the last lines, the previous run")
    func plain() async throws {
        try await with("one\ntwo\nthree\n", previous: "old\n") { fixture, _ in
            let all = try await logs(fixture)
            #expect(all.status == 200 && all.text == "one\ntwo\nthree\n")
            #expect(all.headers["content-type"] == "text/plain; charset=utf-8")
            #expect(all.headers["x-stoker-log-offset"] == "0")
            let last = try await logs(fixture, "?lines=2")
            #expect(last.text == "two\nthree\n" && last.headers["x-stoker-log-offset"] == "4")
            #expect(try await logs(fixture, "?lines=0").text == "")
            #expect(try await logs(fixture, "?lines=99").text == "one\ntwo\nthree\n")
            #expect(try await logs(fixture, "?run=previous").text == "old\n")
            #expect(try await logs(fixture, "?run=first").status == 400)
            #expect(try await logs(fixture, "?lines=-1").status == 400)
        }
    }

    @Test("Ranges, and If-Range of another file")
    func ranges() async throws {
        try await with("0123456789") { fixture, _ in
            let part = try await logs(fixture, "", [("Range", "bytes=3-5")])
            #expect(part.status == 206 && part.text == "345" && part.headers["content-range"] == "bytes 3-5/10")
            #expect(try await logs(fixture, "", [("Range", "bytes=7-")]).text == "789")
            #expect(try await logs(fixture, "", [("Range", "bytes=-2")]).text == "89")
            #expect(try await logs(fixture, "", [("Range", "bytes=8-99")]).text == "89")
            #expect(try await logs(fixture, "", [("Range", "lines=1-2")]).status == 200)
            let past = try await logs(fixture, "", [("Range", "bytes=10-")])
            #expect(past.status == 416 && past.headers["content-range"] == "bytes */10")
            let tag = try #require(part.headers["etag"])
            #expect(try await logs(fixture, "", [("Range", "bytes=9-"), ("If-Range", tag)]).status == 206)
            let other = try await logs(fixture, "", [("Range", "bytes=9-"), ("If-Range", "\"another\"")])
            #expect(other.status == 200 && other.text == "0123456789")
        }
    }

    @Test("A head that was released: what is left, at its old offsets")
    func punched() async throws {
        try await with("") { fixture, path in
            // A hole at the head, as punching leaves one; file systems without holes have nothing to test here.
            let kept = Array("kept line\nkept\n".utf8)
            let descriptor = open(path, O_RDWR)
            pwrite(descriptor, kept, kept.count, 8192)
            close(descriptor)
            guard InstanceLog(path: path)?.firstByte == 8192 else { return }
            let all = try await logs(fixture)
            #expect(all.status == 200 && !all.body.contains(0) && all.text == "kept line\nkept\n")
            #expect(all.headers["x-stoker-log-offset"] == "8192")
            let range = try await logs(fixture, "", [("Range", "bytes=0-")])
            #expect(range.headers["content-range"] == "bytes 8192-8206/8207")
        }
    }

    @Test("None yet, none before, an attached instance, a provider of several")
    func absent() async throws {
        try await AdminFixture.run { fixture in
            let none = try await logs(fixture)
            #expect(none.status == 404 && none.errorCode == "no_log")
            #expect(try await logs(fixture, "?run=previous").status == 404)
            let attached = try await fixture.askUnix("GET", "/api/v1/instances/vllm-test/logs")
            #expect(attached.status == 409 && attached.text.contains("attached"))
            let several = try await fixture.askUnix("GET", "/api/v1/instances/chat/logs")
            #expect(several.status == 409 && several.text.contains("chat-0, chat-1"))
            #expect(try await fixture.askUnix("GET", "/api/v1/instances/nobody/logs").status == 404)
        }
    }

    @Test("A provider's only instance by the provider's name")
    func onlyInstance() async throws {
        try await AdminFixture.run { fixture in
            let directory = try TemporaryDirectory()
            defer { directory.remove() }
            let path = directory.write("embed-0.log", "embedding\n")
            fixture.control.state.withLock { $0.logPaths["embed-0"] = path }
            #expect(try await fixture.askUnix("GET", "/api/v1/instances/embed/logs").text == "embedding\n")
        }
    }

    @Test("Lines from the end across blocks")
    func longLines() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let long = String(repeating: "x", count: 100_000)
        let log = try #require(InstanceLog(path: directory.write("log", "a\n\(long)\nb")))
        #expect(log.start(ofLast: 1) == 100_003)
        #expect(log.start(ofLast: 2) == 2)
        #expect(log.start(ofLast: 3) == 0)
        #expect(InstanceLog(path: directory.path) == nil)
        #expect(InstanceLog(path: "\(directory.path)/none") == nil)
    }
}
