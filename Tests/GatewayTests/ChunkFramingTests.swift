import Testing

@testable import Gateway

/// The chunked coding, passed on and decoded, split anywhere.
@Suite struct ChunkFramingTests {
    private static func decode(_ pieces: [[UInt8]]) -> (payload: [UInt8], framing: ChunkFraming, rest: Int) {
        var framing = ChunkFraming()
        var payload: [UInt8] = []
        var rest = 0
        for piece in pieces {
            if framing.isEnded || framing.isBad {
                rest += piece.count
                continue
            }
            var copy = piece + [0]
            copy.withUnsafeMutableBufferPointer { buffer in
                let view = ByteView(UnsafePointer(buffer.baseAddress!), piece.count)
                let progress = framing.decode(view, to: buffer.baseAddress!)
                payload += buffer[0..<progress.decoded]
                rest += piece.count - progress.consumed
            }
        }
        return (payload, framing, rest)
    }

    private static func follow(_ pieces: [[UInt8]]) -> (bytes: [UInt8], framing: ChunkFraming) {
        var framing = ChunkFraming()
        var bytes: [UInt8] = []
        for piece in pieces where !framing.isEnded && !framing.isBad {
            withView(piece) { view in
                let progress = framing.follow(view)
                bytes += piece[0..<progress.relay]
                if progress.owesLineEnd { bytes += [0x0d, 0x0a] }
            }
        }
        return (bytes, framing)
    }

    private static let coded = Array(
        "4\r\nWiki\r\nA;x=\"y\"\r\n0123456789\r\n00001\r\n\n\r\n0\r\nTrailer: a\r\nAnother: b\r\n\r\nNEXT".utf8)

    @Test func splitAtEveryTwoPlaces() {
        let expected = Array("Wiki0123456789\n".utf8)
        let passed = Array("4\r\nWiki\r\nA;x=\"y\"\r\n0123456789\r\n00001\r\n\n\r\n0\r\n\r\n".utf8)
        for first in 0...Self.coded.count {
            for second in stride(from: first, through: Self.coded.count, by: 3) {
                let pieces = [
                    Array(Self.coded[0..<first]), Array(Self.coded[first..<second]), Array(Self.coded[second...]),
                ]
                let decoded = Self.decode(pieces)
                #expect(decoded.payload == expected)
                #expect(decoded.framing.isEnded)
                #expect(decoded.rest == 4)
                #expect(Self.follow(pieces).bytes == passed)
            }
        }
    }

    @Test func withoutTrailersNothingIsTouched() {
        let plain = Array("3\r\nabc\r\n0\r\n\r\n".utf8)
        for split in 0...plain.count {
            let result = Self.follow([Array(plain[0..<split]), Array(plain[split...])])
            #expect(result.bytes == plain)
            #expect(result.framing.isEnded)
        }
    }

    @Test(arguments: [
        "g\r\n", "\r\n", "-1\r\n", "0x1\r\na\r\n", "1\na\r\n", "1\r\nab\r\n", "1\r\na\n", "1 \r\na\r\n",
        "1111111111111111\r\n", "1;\0\r\n", "1;a\nb\r\n", "0\r\n\n", "0\r\na\nb\r\n", "1\r\na\rb",
    ])
    func refuses(_ text: String) { #expect(Self.decode([Array(text.utf8)]).framing.isBad, "\(text.debugDescription)") }

    @Test func extensionsAndTrailersHaveTheirLimit() {
        #expect(Self.decode([Array(("1;" + String(repeating: "a", count: 5000)).utf8)]).framing.isBad)
        #expect(Self.decode([Array(("0\r\n" + String(repeating: "a: b\r\n", count: 2000)).utf8)]).framing.isBad)
    }

    @Test func anyDeathInAStreamIsEndedLegally() throws {
        let events = ["data: {\"a\":1}\n\n", "data: {\"b\":\"ü\"}\n\n", "data: 3\n\n"]
        let whole = Array((chunk(events[0]) + "12;x=y\r\n" + events[1] + "\r\n" + chunk(events[2])).utf8)
        let error = Array("data: {\"error\":1}\n\n".utf8)
        for cut in 0...whole.count {
            let seen = Self.follow([Array(whole[0..<cut])])
            #expect(!seen.framing.isBad)
            let ending = try #require(StreamEnding.chunked(seen.framing, event: error))
            let read = Self.decode([seen.bytes + ending])
            #expect(read.framing.isEnded, "\(cut)")
            #expect(read.rest == 0)
            let text = String(decoding: read.payload, as: UTF8.self)
            let last = text.components(separatedByBlankLines: ()).last
            #expect(last == "data: {\"error\":1}", "\(cut): \(text.debugDescription)")
        }
    }

    @Test func fillersHaveTheirLength() {
        for count in 0..<40 {
            let filler = StreamEnding.filler(count)
            #expect(filler.count == count)
            #expect(!String(decoding: filler, as: UTF8.self).contains("data"))
        }
    }

    @Test func bothWaysAgreeOnAnything() {
        var numbers = SeededNumbers(seed: 3)
        for round in 0..<40_000 {
            var bytes = Self.coded
            for _ in 0..<Int.random(in: 0..<3, using: &numbers) {
                bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = "0123af;\r\n\0 x".utf8.randomElement(
                    using: &numbers)!
            }
            let split = Int.random(in: 0...bytes.count, using: &numbers)
            let pieces = [Array(bytes[0..<split]), Array(bytes[split...])]
            let whole = Self.decode([bytes])
            let parts = Self.decode(pieces)
            #expect(whole.payload == parts.payload)
            #expect(whole.framing.position == parts.framing.position)
            if round % 8 == 0 {
                // Byte by byte there is no line that has come whole.
                let single = Self.decode(bytes.map { [$0] })
                #expect(whole.payload == single.payload)
                #expect(whole.framing.position == single.framing.position)
            }
            let followed = Self.follow(pieces)
            #expect(followed.framing.position == whole.framing.position)
            if followed.framing.isEnded { #expect(Self.decode([followed.bytes]).payload == whole.payload) }
        }
    }
}

extension String {
    /// Events of a stream, without the empty ones.
    fileprivate func components(separatedByBlankLines: Void) -> [String] {
        var events: [String] = []
        var lines: [String] = []
        for line in split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !lines.isEmpty { events.append(lines.joined(separator: "\n")) }
                lines = []
            } else if !line.hasPrefix(":") {
                lines.append(String(line))
            }
        }
        return events
    }
}
