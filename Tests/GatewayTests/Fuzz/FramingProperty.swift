@testable import Gateway

/// Chunked coding is taken exactly when the grammar has it; passed on, decoded and cut anywhere it says the same; and
/// wherever a server dies, the client's reader gets one more whole event. What looks at payloads does not care how
/// they were cut.
enum FramingProperty {
    /// What the plain reading of chunked coding gives.
    struct Naive: Equatable {
        enum Ending { case ended, open, bad }
        var payload: [UInt8] = []
        var ending = Ending.open
        var consumed = 0
    }

    static func decode(_ pieces: [ArraySlice<UInt8>]) -> (payload: [UInt8], framing: ChunkFraming, consumed: Int) {
        var framing = ChunkFraming()
        var payload: [UInt8] = []
        var consumed = 0
        for piece in pieces where !framing.isEnded && !framing.isBad {
            var copy = Array(piece) + [0]
            copy.withUnsafeMutableBufferPointer { buffer in
                let view = ByteView(UnsafePointer(buffer.baseAddress!), piece.count)
                let progress = framing.decode(view, to: buffer.baseAddress!)
                payload += buffer[0..<progress.decoded]
                consumed += progress.consumed
            }
        }
        return (payload, framing, consumed)
    }

    static func follow(_ pieces: [ArraySlice<UInt8>]) -> (bytes: [UInt8], framing: ChunkFraming) {
        var framing = ChunkFraming()
        var bytes: [UInt8] = []
        for piece in pieces where !framing.isEnded && !framing.isBad {
            let copy = Array(piece)
            withView(copy) { view in
                let progress = framing.follow(view)
                bytes += copy[0..<progress.relay]
                if progress.owesLineEnd { bytes += [0x0d, 0x0a] }
            }
        }
        return (bytes, framing)
    }

    static func check(_ bytes: [UInt8]) -> String? {
        let whole = decode([bytes[...]])
        let naive = read(bytes)
        let ending: Naive.Ending = whole.framing.isEnded ? .ended : whole.framing.isBad ? .bad : .open
        let ours = Naive(payload: whole.payload, ending: ending, consumed: whole.consumed)
        if ours != naive { return "\(ours), is \(naive)" }
        let followed = follow([bytes[...]])
        if followed.framing.position != whole.framing.position { return "passing on ends elsewhere than decoding" }
        for split in FuzzTarget.splits(bytes) {
            let pieces = [bytes[..<split], bytes[split...]]
            let cut = decode(pieces)
            if cut.payload != whole.payload || cut.framing.position != whole.framing.position {
                return "decoded otherwise when cut at \(split)"
            }
            if follow(pieces).bytes != followed.bytes { return "passed on otherwise when cut at \(split)" }
        }
        if follow(bytes.indices.map { bytes[$0...$0] }).bytes != followed.bytes { return "otherwise byte by byte" }
        if !followed.framing.isBad {
            let again = decode([followed.bytes[...]])
            if again.payload != whole.payload || again.framing.isEnded != whole.framing.isEnded {
                return "a client reads something else: \(FuzzTarget.shown(followed.bytes))"
            }
        }
        return endsLegally(followed, whole.payload) ?? payloads(bytes)
    }

    /// The plain reading: a line, a size, so many bytes, a line's end.
    private static func read(_ bytes: [UInt8]) -> Naive {
        var naive = Naive()
        var at = 0
        /// A line's bytes without its end; nil when it is not whole. Bad as soon as a byte is.
        func line(_ isGood: (ArraySlice<UInt8>, UInt8) -> Bool) -> ArraySlice<UInt8>? {
            let start = at
            while at < bytes.count {
                if bytes[at] == 0x0d, isGood(bytes[start..<at], 0x0d) {
                    guard at + 1 < bytes.count else {
                        at += 1
                        return nil
                    }
                    at += 2
                    if bytes[at - 1] != 0x0a { naive.ending = .bad }
                    return bytes[start..<(at - 2)]
                }
                at += 1
                if !isGood(bytes[start..<(at - 1)], bytes[at - 1]) {
                    naive.ending = .bad
                    return nil
                }
            }
            return nil
        }
        func isText(_ byte: UInt8) -> Bool { byte == 0x09 || (byte >= 0x20 && byte != 0x7f) }
        while true {
            let size = line { before, byte in
                if let mark = before.firstIndex(of: 0x3b) {
                    return byte == 0x0d || (isText(byte) && before.endIndex - mark <= ChunkFraming.lineLimit)
                }
                if byte == 0x0d || byte == 0x3b { return !before.isEmpty }
                return before.count < 15 && ASCII.hexValue(byte) != nil
            }
            naive.consumed = at
            guard let size, naive.ending == .open else { return naive }
            let digits = size.prefix { $0 != 0x3b }
            let count = Int(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0
            if count == 0 { break }
            let take = min(count, bytes.count - at)
            naive.payload += bytes[at..<(at + take)]
            at += take
            naive.consumed = at
            guard take == count else { return naive }
            for expected: UInt8 in [0x0d, 0x0a] {
                guard at < bytes.count else { return naive }
                at += 1
                naive.consumed = at
                if bytes[at - 1] != expected {
                    naive.ending = .bad
                    return naive
                }
            }
        }
        var total = 0
        while true {
            let trailer = line { before, byte in
                if byte == 0x0d { return true }
                return isText(byte) && total + before.count < ChunkFraming.lineLimit
            }
            naive.consumed = at
            guard let trailer, naive.ending == .open else { return naive }
            total += trailer.count
            if trailer.isEmpty {
                naive.ending = .ended
                return naive
            }
        }
    }

    private static let error = Array("data: {\"error\":1}\n\n".utf8)

    /// A server that dies here leaves a response that is whole, its last event the error.
    private static func endsLegally(_ followed: (bytes: [UInt8], framing: ChunkFraming), _ payload: [UInt8]) -> String?
    {
        guard let ending = StreamEnding.chunked(followed.framing, event: error) else { return nil }
        let read = decode([(followed.bytes + ending)[...]])
        guard read.framing.isEnded, read.consumed == followed.bytes.count + ending.count else {
            return "the ending leaves its reader in the middle"
        }
        guard read.payload.starts(with: payload), read.payload.suffix(error.count).elementsEqual(error) else {
            return "the ending is not the error event"
        }
        // Lines right in front of it belong to its event, and may only be comments.
        var lines = read.payload.dropLast(error.count).split(separator: 0x0a, omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty != false else { return "the error event hangs on a line" }
        let own = lines.reversed().prefix { !$0.isEmpty && $0 != [0x0d] }
        return own.allSatisfy { $0.first == 0x3a } ? nil : "the error event hangs on another"
    }

    /// What judges a stream's beginning and follows its numbers.
    private static func payloads(_ bytes: [UInt8]) -> String? {
        let whole = withView(bytes) { StreamStart.judge($0) }
        var numbers = SequenceNumbers()
        withView(bytes) { numbers.follow($0) }
        for split in FuzzTarget.splits(bytes) {
            let part = withView(Array(bytes[..<split])) { StreamStart.judge($0) }
            if part != .undecided, part != whole { return "judged \(part), then \(whole), at \(split)" }
            var cut = SequenceNumbers()
            withView(Array(bytes[..<split])) { cut.follow($0) }
            withView(Array(bytes[split...])) { cut.follow($0) }
            if cut.newest != numbers.newest { return "number \(cut.newest), is \(numbers.newest), at \(split)" }
        }
        return withView(bytes) { view in
            _ = StreamStart.isEmptyAbort(view)
            _ = StreamStart.isEngineDead(view)
            _ = Usage.mayTell(view)
            let usage = Usage.find(view)
            guard let usage else { return nil }
            return (usage.prompt ?? 0) < 0 || (usage.completion ?? 0) < 0 ? "a negative count of tokens" : nil
        }
    }
}
