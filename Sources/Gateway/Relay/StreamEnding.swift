/// Ends a stream whose server was lost so that the client's parser sees one more valid event.
///
/// Chunks leave as they came, so a server that dies inside a chunk leaves bytes owed. They are paid with what readers
/// of event streams ignore: line feeds, which also end the event that was cut, and a comment. A reader then meets one
/// event with half its data and, right behind it, the error event; the alternative, cutting the connection, tells
/// it less. A chunk that owes more than ``longestFiller`` is cut.
enum StreamEnding {
    /// The most bytes that are paid.
    static let longestFiller: UInt64 = 64 << 10

    /// What to write to bring chunked framing to its end with `event` as the last payload; nil when it has to be cut.
    static func chunked(_ framing: ChunkFraming, event: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = []
        var owed: UInt64 = 0
        var payload = event
        let between = framing.isBetweenEvents
        switch framing.position {
        case .sizeStart: break
        case .size:
            // A size whose end never came: any hexadecimal digits are a size. Zero alone would be the last chunk.
            owed = framing.remaining
            if owed == 0 {
                out.append(0x34)
                owed = 4
            }
            out += [0x0d, 0x0a]
        case .ext, .sizeLineFeed:
            owed = framing.remaining
            if owed == 0 { return nil }
            if framing.position == .ext { out.append(0x0d) }
            out.append(0x0a)
        case .data: owed = framing.remaining
        case .dataReturn: out += [0x0d, 0x0a]
        case .dataLineFeed: out.append(0x0a)
        case .trailerStart, .trailer, .trailerLineFeed, .endLineFeed, .ended, .bad: return nil
        }
        if owed > longestFiller { return nil }
        if owed > 0 {
            out += filler(Int(owed))
            out += [0x0d, 0x0a]
            if owed == 1 { payload.insert(0x0a, at: 0) }
        } else if !between {
            payload.insert(contentsOf: [0x0a, 0x0a], at: 0)
        }
        out += Array(String(payload.count, radix: 16).utf8) + [0x0d, 0x0a] + payload + [0x0d, 0x0a]
        out += Array("0\r\n\r\n".utf8)
        return out
    }

    /// What to write where the body has no framing of its own.
    static func plain(isBetweenEvents: Bool, event: [UInt8]) -> [UInt8] {
        (isBetweenEvents ? [] : [0x0a, 0x0a]) + event
    }

    /// Exactly so many bytes that end an event and add none.
    static func filler(_ count: Int) -> [UInt8] {
        switch count {
        case ...3: return [UInt8](repeating: 0x0a, count: count)
        default: return [0x0a, 0x0a, 0x3a] + [UInt8](repeating: 0x20, count: count - 4) + [0x0a]
        }
    }
}
