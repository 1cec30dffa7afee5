import Testing

@testable import Gateway

/// What looks at sixteen bytes at once must see what looking at each would.
@Suite struct ScanTests {
    @Test func fieldLinesAreWhatByteByByteSays() {
        var numbers = SeededNumbers(seed: 1)
        let usual = Array("Content-Typex: application/json  gzip;q=0.5\r\n".utf8)
        let odd: [UInt8] = [
            0x00, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x22, 0x2d, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7f, 0x80, 0xff,
        ]
        var taken = 0
        for _ in 0..<6_000 {
            let name = Int.random(in: 0...40, using: &numbers)
            let value = Int.random(in: 0...60, using: &numbers)
            var line = (0..<name).map { _ in UInt8.random(in: 0x61...0x7a, using: &numbers) } + Array(": ".utf8)
            line += (0..<value).map { _ in usual.randomElement(using: &numbers)! }.filter { $0 >= 0x20 }
            line += Array("\r\nNext: 1\r\n\r\n".utf8)
            for _ in 0..<Int.random(in: 0...2, using: &numbers) {
                line[Int.random(in: 0..<line.count, using: &numbers)] = odd.randomElement(using: &numbers)!
            }
            line = Array(line.prefix(Int.random(in: (line.count / 2)...line.count, using: &numbers)))
            let expected = Self.careful(line)
            withView(line) { view in
                let found = FieldLine(view, from: 0)
                if found != nil { taken += 1 }
                let places = found.map { [$0.colon, $0.valueStart, $0.valueEnd, $0.end] }
                #expect(places == expected, "\(line)")
            }
        }
        #expect(taken > 1_000)
    }

    /// A name of tokens, a colon, a value without controls, CR LF; nil for all else, a tab included.
    private static func careful(_ line: [UInt8]) -> [Int]? {
        guard let feed = line.firstIndex(of: 0x0a), feed > 0, line[feed - 1] == 0x0d else { return nil }
        let end = feed - 1
        guard let colon = line.firstIndex(where: { !ASCII.isToken($0) }), colon > 0, colon < end, line[colon] == 0x3a
        else { return nil }
        guard line[(colon + 1)..<end].allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { return nil }
        var from = colon + 1
        var to = end
        while from < to, line[from] == 0x20 { from += 1 }
        while to > from, line[to - 1] == 0x20 { to -= 1 }
        return [colon, from, to, end]
    }

    @Test func bodiesInOnePieceAreWhatByteByByteSays() {
        var numbers = SeededNumbers(seed: 2)
        let pieces = [
            "a", " plain text of some length, longer than sixteen and than sixty-four bytes together ", "é", "€", "😀",
            "\\n",
            "\\\"", "\\u00e9", "\"", ",", ":", "{", "}", "[", "]", "1", "-0.5e3", "true", "null", "\"model\":\"m\"",
            "\"previous_response_id\":\"resp_1\"", " ", "\u{1}", "\\", "\u{80}",
        ]
        for _ in 0..<4_000 {
            var body = Array(#"{"messages":[{"role":"user","content":""#.utf8)
            for _ in 0..<Int.random(in: 0...6, using: &numbers) {
                body += Array(pieces.randomElement(using: &numbers)!.utf8)
            }
            body += Array(#""}],"model":"a/b","n":12}"#.utf8)
            if Bool.random(using: &numbers) {
                body[Int.random(in: 0..<body.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            var whole = ModelScanner()
            withView(body) { _ = whole.feed($0) }
            var single = ModelScanner()
            for byte in body { withView([byte]) { _ = single.feed($0) } }
            #expect(whole.finish() == single.finish(), "\(String(decoding: body, as: UTF8.self))")
            guard whole.failure == nil else { continue }
            #expect(whole.model == single.model)
            #expect(whole.previousResponse == single.previousResponse)
        }
    }

    /// Everything that a string can hold, at every place of the blocks that long strings are looked at in; and broken.
    @Test func longStringsInOnePieceAreWhatByteByByteSays() {
        var numbers = SeededNumbers(seed: 4)
        let pieces = [
            "a", "some words ", " text longer than sixteen and than sixty-four bytes, of which nothing is to be said ",
            "é", "€", "中文", "😀", "\\n", "\\\\", "\\\"", "\\/", "\\u00e9", "\\ud83d\\uDE00",
        ]
        for _ in 0..<2_000 {
            var body = Array(#"{"input":""#.utf8)
            for _ in 0..<Int.random(in: 0...30, using: &numbers) {
                body += Array(pieces.randomElement(using: &numbers)!.utf8)
            }
            body += Array(#"","model":"a/b"}"#.utf8)
            if Bool.random(using: &numbers) {
                let odd: [UInt8] = [0x00, 0x1f, 0x22, 0x5c, 0x75, 0x7f, 0x80, 0xbf, 0xc0, 0xed, 0xf4, 0xff]
                body[Int.random(in: 0..<body.count, using: &numbers)] = odd.randomElement(using: &numbers)!
            }
            let cut = Int.random(in: 0...body.count, using: &numbers)
            var whole = ModelScanner()
            withView(body) { _ = whole.feed($0) }
            var halves = ModelScanner()
            for half in [Array(body[..<cut]), Array(body[cut...])] { withView(half) { _ = halves.feed($0) } }
            var single = ModelScanner()
            for byte in body { withView([byte]) { _ = single.feed($0) } }
            let verdict = single.finish()
            #expect(whole.finish() == verdict, "\(String(decoding: body, as: UTF8.self))")
            #expect(halves.finish() == verdict, "\(String(decoding: body, as: UTF8.self)) cut at \(cut)")
            #expect(whole.model == single.model)
            #expect(halves.model == single.model)
        }
    }

    @Test func literalsAreFoundWhereTheyStand() {
        var numbers = SeededNumbers(seed: 3)
        for _ in 0..<4_000 {
            let count = Int.random(in: 0...80, using: &numbers)
            let bytes = (0..<count).map { _ in Array("\"abor".utf8).randomElement(using: &numbers)! }
            let from = Int.random(in: 0...count, using: &numbers)
            let places = (from..<max(from, count - 2)).filter { Array(bytes[$0..<($0 + 3)]) == Array("\"ab".utf8) }
            withView(bytes) { view in
                #expect(view.firstIndex(of: "\"ab", from: from) == places.first)
                #expect(view.contains("b") == bytes.contains(0x62))
            }
        }
    }

    @Test func largeBuffersAreKeptAsLongAsTheyAreUsed() {
        var pool = BufferPool()
        var first = pool.take(1 << 20)
        var second = pool.take(1 << 20)
        let places = [first.base, second.base]
        #expect(first.capacity >= 1 << 20)
        pool.give(&first)
        pool.give(&second)
        pool.trim()
        first = pool.take(1 << 20)
        #expect(places.contains(first.base))
        pool.give(&first)
        // One of the two was not used since.
        pool.trim()
        first = pool.take(900 << 10)
        #expect(places.contains(first.base))
        pool.give(&first)
        pool.trim()
        pool.trim()
        var small = pool.take(1)
        #expect(small.capacity == BufferPool.sizes.small)
        pool.give(&small)
    }
}
