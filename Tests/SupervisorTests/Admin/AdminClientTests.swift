import Testing

@testable import Supervisor

@Suite("Admin client's readers")
struct AdminClientTests {
    /// Feeds a response in pieces of a size.
    func read(_ text: String, by size: Int) throws -> (HTTPAnswerReader, String) {
        var reader = HTTPAnswerReader()
        var body: [UInt8] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            body += try reader.append(bytes[start..<min(start + size, bytes.count)])
        }
        return (reader, String(decoding: body, as: UTF8.self))
    }

    @Test("Framings, split anywhere", arguments: [1, 2, 3, 7, 1000])
    func framings(_ size: Int) throws {
        let (length, first) = try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhello", by: size)
        #expect(length.isComplete && length.status == 200 && first == "hello" && length.headers["x-a"] == "b")
        let (chunked, second) = try read(
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\nA\r\n, world...\r\n0\r\nT: r\r\n\r\n",
            by: size)
        #expect(chunked.isComplete && chunked.status == 404 && second == "hello, world...")
        var (close, third) = try read("HTTP/1.0 200 OK\r\n\r\nas it comes", by: size)
        #expect(!close.isComplete && third == "as it comes")
        let isWhole = close.end()
        #expect(isWhole)
        let (empty, _) = try read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", by: size)
        #expect(empty.isComplete && empty.status == 204)
        var (cut, _) = try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", by: size)
        let isCutWhole = cut.end()
        #expect(!isCutWhole)
    }

    @Test(
        "No HTTP",
        arguments: [
            "nonsense\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ])
    func malformed(_ text: String) {
        #expect(throws: HTTPAnswerReader.Malformed.self) { try read(text, by: 1000) }
    }

    @Test("Events, split anywhere", arguments: [1, 4, 1000])
    func events(_ size: Int) {
        var reader = EventReader()
        let bytes = Array(
            "retry: 1000\n\nevent: status\nid: 1\ndata: {\"a\":1}\n\n: beat\n\ndata: b\ndata: c\n\ndata: half".utf8)
        var events: [String] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            events += reader.append(bytes[start..<min(start + size, bytes.count)]).map {
                String(decoding: $0, as: UTF8.self)
            }
        }
        #expect(events == ["{\"a\":1}", "b\nc"])
    }

    @Test("Nobody there, and a path that is too long")
    func unreachable() async {
        let none = AdminClient(.unix(path: "/tmp/stoker-no-such.sock"))
        await #expect(throws: AdminClient.Failure.self) { try await blocking { try none.ask("GET", "/") } }
        let long = AdminClient(.unix(path: "/" + String(repeating: "x", count: 200)))
        await #expect(throws: AdminClient.Failure.self) { try await blocking { try long.ask("GET", "/") } }
    }
}
