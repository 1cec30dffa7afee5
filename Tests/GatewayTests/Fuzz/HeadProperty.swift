@testable import Gateway

/// A request's head is taken exactly when the grammar has it, at the same length whatever comes behind it, and what is
/// forwarded is what was checked.
enum HeadProperty {
    static let limit = 4096

    static func parse(_ bytes: [UInt8], _ table: HeaderTable) -> RequestHeadParser.Outcome {
        withView(bytes) { RequestHeadParser.parse($0, into: table, limit: limit) }
    }

    static func check(_ bytes: [UInt8]) -> String? {
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        let outcome = parse(bytes, table)
        let naive = NaiveHead(bytes, limit: limit)
        let expected = naive.flatMap { isRequest($0) ? $0 : nil }
        switch outcome {
        case .complete(let head):
            guard let expected else { return "we take what the grammar does not have" }
            if head.length != expected.length { return "\(head.length) bytes long, is \(expected.length)" }
            if let wrong = compare(head, expected, bytes) ?? forwards(head, expected, bytes, table) { return wrong }
            for cut in FuzzTarget.splits(bytes, most: 60) where cut < head.length {
                guard case .incomplete = parse(Array(bytes[..<cut]), table) else { return "not incomplete at \(cut)" }
            }
        case .incomplete:
            if expected != nil { return "we wait for more of what is whole" }
        case .bad(let failure):
            if expected != nil { return "we refuse a good head: \(failure)" }
            // What is wrong stays wrong.
            let more = bytes + Array("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            guard case .bad = parse(more, table) else { return "bad, and not bad with more bytes" }
        }
        return nil
    }

    /// Whether a head by its fields and its first line is a request that we take.
    private static func isRequest(_ head: NaiveHead) -> Bool {
        let words = head.start.split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 3, NaiveHead.isToken(words[0]), words[0].count <= 32 else { return false }
        let version = String(decoding: words[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return false }
        guard path(words[1], isOptions: words[0].elementsEqual("OPTIONS".utf8)) != nil else { return false }
        let hosts = head.values("host")
        guard hosts.count < 2, version == "HTTP/1.0" || hosts.count == 1 else { return false }
        let hostBytes = Set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_:[]".utf8)
        guard hosts.allSatisfy({ $0.allSatisfy(hostBytes.contains) }) else { return false }
        let lengths = head.values("content-length")
        let codings = head.values("transfer-encoding")
        guard lengths.isEmpty || NaiveHead.number(lengths) != nil else { return false }
        guard codings.isEmpty || (NaiveHead.isChunked(codings) && lengths.isEmpty && version == "HTTP/1.1")
        else { return false }
        return head.values("content-type").count < 2
    }

    /// The path and query of a target.
    private static func path(_ target: ArraySlice<UInt8>, isOptions: Bool) -> [UInt8]? {
        var target = Array(target)
        if target == Array("*".utf8) { return isOptions ? target : nil }
        if target.first != 0x2f {
            guard target.count > 7, NaiveHead.lowered(target[..<7]) == "http://"
            else { return nil }
            guard let slash = target[7...].firstIndex(of: 0x2f), slash > 7 else { return nil }
            let host = Set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_:[]".utf8)
            guard target[7..<slash].allSatisfy(host.contains) else { return nil }
            target = Array(target[slash...])
        }
        let refused = Set("\"#<>^`{|}".utf8)
        return target.allSatisfy { $0 > 0x20 && $0 < 0x7f && !refused.contains($0) } ? target : nil
    }

    private static func compare(_ head: RequestHead, _ naive: NaiveHead, _ bytes: [UInt8]) -> String? {
        if head.fieldCount != naive.fields.count { return "\(head.fieldCount) fields, are \(naive.fields.count)" }
        if head.isChunked != !naive.values("transfer-encoding").isEmpty { return "chunked or not" }
        let lengths = naive.values("content-length")
        if head.contentLength != NaiveHead.number(lengths) ?? -1 { return "another Content-Length" }
        let closes = naive.options.contains("close") || naive.start.suffix(1) == [0x30]
        if head.closes != closes { return "closes: \(head.closes)" }
        let words = naive.start.split(separator: 0x20)
        let target = Array(bytes[head.pathStart..<(head.pathStart + head.pathLength + head.queryLength)])
        if target != path(words[1], isOptions: true) { return "another target: \(FuzzTarget.shown(target))" }
        if bytes[head.pathStart..<(head.pathStart + head.pathLength)].contains(0x3f) { return "a query in the path" }
        for (name, index) in [
            ("host", head.host), ("authorization", head.authorization), ("x-api-key", head.apiKey),
            ("content-type", head.contentType), ("origin", head.origin), ("x-request-id", head.requestID),
        ] where (index >= 0) != naive.fields.contains(where: { $0.name == name }) {
            return "\(name) is noted or not"
        }
        let credentials = ["authorization", "x-api-key"].contains { naive.values($0).count > 1 }
        return head.hasDuplicateCredentials == credentials ? nil : "two credentials"
    }

    /// What stops at the gateway by contract: hop by hop, credentials, the way here, and what the gateway writes.
    private static let stops: Set<String> = [
        "host", "authorization", "x-api-key", "cookie", "forwarded", "accept-encoding", "connection", "keep-alive",
        "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect", "x-request-id",
        "content-encoding", "x-stoker-instance",
    ]

    /// What is forwarded are the fields that came, in their order and spelling, less those that stop here.
    private static func forwards(
        _ head: RequestHead, _ naive: NaiveHead, _ bytes: [UInt8], _ table: HeaderTable
    ) -> String? {
        var forwarded: [UInt8] = []
        table.stretches(head.fieldCount, end: head.length - 2, without: { $0.name.stopsFromClient || $0.named }) {
            forwarded += bytes[$0..<$1]
        }
        let named = naive.named
        let expected = naive.fields.filter { field in
            !stops.contains(field.name) && !NaiveHead.begins(field.name, "proxy-")
                && !NaiveHead.begins(field.name, "x-forwarded-")
                && !named.contains(field.name)
        }
        let lines: [UInt8] = expected.flatMap { $0.line + [0x0d, 0x0a] }
        return forwarded == lines ? nil : "forwarded: \(FuzzTarget.shown(forwarded))"
    }
}
