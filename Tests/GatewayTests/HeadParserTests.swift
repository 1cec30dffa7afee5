import Testing

@testable import Gateway

/// RFC 9112's grammar for heads, strictly.
@Suite struct HeadParserTests {
    private static func parse(_ text: String, limit: Int = 65_536) -> RequestHeadParser.Outcome {
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        return withView(text) { RequestHeadParser.parse($0, into: table, limit: limit) }
    }

    private static func failure(_ text: String) -> HeadFailure? {
        if case .bad(let failure) = parse(text) { failure } else { nil }
    }

    private static func head(_ text: String) -> RequestHead? {
        if case .complete(let head) = parse(text) { head } else { nil }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", HeadFailure.framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .framing),
        ("GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .framing),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .transferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", .transferEncoding),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", .lineEnd), ("GET / HTTP/1.1\r\nHost: a\n\r\n", .lineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", .lineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", .field), ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .field), ("GET / HTTP/1.1\r\n: a\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", .field), ("GET / HTTP/1.1\r\nHo\"st: a\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n", .field),
        ("GET / HTTP/1.1\r\n\r\n", .host), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .host), ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", .host),
        ("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", .host), ("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", .host),
        ("GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n", .host),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .version), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", .startLine), ("GET /\r\n\r\n", .startLine),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", .target), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .startLine), ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", .startLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .startLine), ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .target), ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .target), ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", .target), ("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .target), ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", .target),
        ("\u{16}\u{3}\u{1}", .startLine), ("{\"a\"", .startLine),
    ])
    func refuses(_ text: String, _ failure: HeadFailure) {
        #expect(Self.failure(text) == failure, "\(text.debugDescription)")
    }

    @Test func reads() throws {
        let text =
            "POST /v1/x?y=z HTTP/1.1\r\nHost: a.b:80\r\nCONTENT-length:\t5 \r\nConnection: close, X-A\r\nx-a: 1\r\n\r\nhello"
        let head = try #require(Self.head(text))
        #expect(head.method == .post)
        #expect(head.length == text.utf8.count - 5)
        #expect(head.contentLength == 5)
        #expect(head.pathLength == 5)
        #expect(head.queryLength == 4)
        #expect(head.closes)
        #expect(!head.isVersion10)
        #expect(head.fieldCount == 4)
        let absolute = try #require(Self.head("GET http://a:1/b HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(absolute.pathStart == 14)
        #expect(absolute.pathLength == 2)
        #expect(Self.head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")?.method == .options)
        #expect(Self.head("GET / HTTP/1.0\r\n\r\n")?.closes == true)
        #expect(Self.head("GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n")?.isChunked == true)
        #expect(Self.head("GET / HTTP/1.1\r\nHost:\r\n\r\n") != nil)
    }

    @Test func waitsForTheRestAndNoLonger() {
        let text = "GET /v1/models HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        for count in 0..<text.utf8.count {
            withView(Array(text.utf8.prefix(count))) {
                guard case .incomplete = RequestHeadParser.parse($0, into: table, limit: 4096) else {
                    Issue.record("\(count)")
                    return
                }
            }
        }
        let long = "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 100)
        if case .bad(.tooLarge) = Self.parse(long, limit: 64) {} else { Issue.record("the limit does not hold") }
        let many = "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 200) + "\r\n"
        #expect(Self.failure(many) == .tooLarge)
    }

    @Test func namesStopAtThisHop() {
        let stops = [
            "Host", "Authorization", "X-API-Key", "Cookie", "Proxy-Authorization", "Proxy-Anything", "Forwarded",
            "X-Forwarded-For", "X-Forwarded-Anything", "Accept-Encoding", "Connection", "Keep-Alive", "TE", "Trailer",
            "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "X-Request-ID", "Content-Encoding",
        ]
        for name in stops { #expect(withView(name) { HeaderName.of($0).stopsFromClient }, "\(name)") }
        for name in [
            "Content-Type", "Accept", "User-Agent", "traceparent", "X-Forwarded", "Proxyish", "anthropic-version",
        ] {
            #expect(!withView(name) { HeaderName.of($0).stopsFromClient }, "\(name)")
        }
    }

    @Test func tokensAreThoseOfTheStandard() {
        let tokens = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        for byte in UInt8.min...UInt8.max { #expect(ASCII.isToken(byte) == tokens.contains(byte)) }
    }

    @Test func controlsAreFoundEightAtATime() {
        for byte in UInt8.min...UInt8.max {
            for place in 0..<12 {
                var bytes = [UInt8](repeating: 0x61, count: 12)
                bytes[place] = byte
                let isGood = byte == 9 || (byte >= 0x20 && byte != 0x7f)
                #expect(withView(bytes) { ASCII.isFieldValue($0) } == isGood)
            }
        }
    }

    @Test func responsesAreReadStrictlyToo() {
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        func end(_ text: String, toHead: Bool = false) -> BodyEnd? {
            withView(text) {
                if case .complete(let head) = ResponseHeadParser.parse($0, into: table, toHead: toHead) {
                    return head.bodyEnd
                }
                return nil
            }
        }
        #expect(end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n") == .length)
        #expect(end("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n") == BodyEnd.none)
        #expect(end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == .chunked)
        #expect(end("HTTP/1.0 200 OK\r\n\r\n") == .close)
        #expect(end("HTTP/1.1 204 No\r\n\r\n") == BodyEnd.none)
        #expect(end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", toHead: true) == BodyEnd.none)
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\nX: y\r\n\r\n", "HTTP/3.0 200 OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "nonsense\r\n\r\n",
        ] { #expect(end(bad) == nil, "\(bad.debugDescription)") }
    }

    @Test func neverReadsBeyondOrCrashes() {
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        var numbers = SeededNumbers(seed: 1)
        let seeds = [
            "POST /v1/chat/completions?x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close, x\r\nx: y\r\n\r\n",
            "GET http://a/b HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        ].map { Array($0.utf8) }
        for _ in 0..<60_000 {
            var bytes = seeds.randomElement(using: &numbers)!
            for _ in 0..<Int.random(in: 0..<4, using: &numbers) {
                let place = Int.random(in: 0..<bytes.count, using: &numbers)
                switch Int.random(in: 0..<3, using: &numbers) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &numbers)
                case 1: bytes.insert("\r\n :,\0/".utf8.randomElement(using: &numbers)!, at: place)
                default: bytes.remove(at: place)
                }
            }
            let part = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &numbers)))
            withView(part) { view in
                if case .complete(let head) = RequestHeadParser.parse(view, into: table, limit: 4096) {
                    #expect(head.length <= view.count)
                    #expect(head.pathStart + head.pathLength + head.queryLength <= head.length)
                }
                if case .complete(let head) = ResponseHeadParser.parse(view, into: table, toHead: false) {
                    #expect(head.length <= view.count)
                }
            }
        }
    }
}
