@testable import Gateway

/// A server's head is taken exactly when the grammar has it, and its body's end is what RFC 9112 §6.3 says.
enum ResponseProperty {
    static func check(_ bytes: [UInt8]) -> String? {
        let table = HeaderTable()
        defer { table.fields.deallocate() }
        for toHead in [false, true] {
            let outcome = withView(bytes) { ResponseHeadParser.parse($0, into: table, toHead: toHead) }
            let naive = NaiveHead(bytes, limit: ResponseHeadParser.limit)
            let expected = naive.flatMap { isResponse($0) ? $0 : nil }
            switch outcome {
            case .complete(let head):
                guard let expected else { return "we take what the grammar does not have" }
                if head.length != expected.length { return "\(head.length) bytes long, is \(expected.length)" }
                if let wrong = compare(head, expected, toHead: toHead) { return wrong }
                if let wrong = passesOn(head, expected, bytes, table) { return wrong }
                for cut in FuzzTarget.splits(bytes, most: 60) where cut < head.length {
                    let part = withView(Array(bytes[..<cut])) {
                        ResponseHeadParser.parse($0, into: table, toHead: toHead)
                    }
                    guard case .incomplete = part else { return "not incomplete at \(cut)" }
                }
            case .incomplete: if expected != nil { return "we wait for more of what is whole" }
            case .bad(let failure): if expected != nil { return "we refuse a good head: \(failure)" }
            }
        }
        return nil
    }

    private static func isResponse(_ head: NaiveHead) -> Bool {
        let start = head.start
        guard start.count >= 12 else { return false }
        let version = String(decoding: start[..<9], as: UTF8.self)
        guard version == "HTTP/1.1 " || version == "HTTP/1.0 " else { return false }
        guard start[9..<12].allSatisfy({ $0 &- 0x30 < 10 }), start[9] &- 0x31 < 5 else { return false }
        guard start.count == 12 || start[12] == 0x20 else { return false }
        guard start.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }) else { return false }
        let lengths = head.values("content-length")
        let codings = head.values("transfer-encoding")
        guard lengths.isEmpty || NaiveHead.number(lengths) != nil else { return false }
        return codings.isEmpty || (NaiveHead.isChunked(codings) && lengths.isEmpty && start[7] == 0x31)
    }

    private static func compare(_ head: ResponseHead, _ naive: NaiveHead, toHead: Bool) -> String? {
        let status = Int(String(decoding: naive.start[9..<12], as: UTF8.self))
        if head.status != status { return "status \(head.status)" }
        let end: BodyEnd
        if head.status < 200 || head.status == 204 || head.status == 304 || toHead {
            end = .none
        } else if !naive.values("transfer-encoding").isEmpty {
            end = .chunked
        } else if let length = NaiveHead.number(naive.values("content-length")) {
            end = length == 0 ? .none : .length
        } else {
            end = .close
        }
        if head.bodyEnd != end { return "ends by \(head.bodyEnd), should by \(end)" }
        let closes = naive.options.contains("close") || naive.start[7] == 0x30 || end == .close
        return head.closes == closes ? nil : "closes: \(head.closes)"
    }

    private static let stops: Set<String> = [
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "x-request-id",
        "x-stoker-instance",
    ]

    /// The fields that a client gets are those that came, in their order and spelling, less what stops here.
    private static func passesOn(
        _ head: ResponseHead, _ naive: NaiveHead, _ bytes: [UInt8], _ table: HeaderTable
    ) -> String? {
        var passed: [UInt8] = []
        table.stretches(head.fieldCount, end: head.length - 2, without: { $0.name.stopsFromServer || $0.named }) {
            passed += bytes[$0..<$1]
        }
        let named = naive.named
        let expected = naive.fields.filter { field in
            !stops.contains(field.name) && !NaiveHead.begins(field.name, "proxy-") && !named.contains(field.name)
        }
        let lines: [UInt8] = expected.flatMap { $0.line + [0x0d, 0x0a] }
        return passed == lines ? nil : "passed on: \(FuzzTarget.shown(passed))"
    }
}
