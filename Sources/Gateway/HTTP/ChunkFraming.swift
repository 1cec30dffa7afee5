import CLinux

/// Follows the chunked coding (RFC 9112 §7.1) over bytes as they come, in one of two ways: passing the coded bytes
/// on as they are and only finding the end, or decoding them in place. Trailers are dropped either way.
///
/// A value without memory of its own: a broken coding is an outcome, not an error thrown.
struct ChunkFraming {
    /// Where in the coding the next byte stands.
    enum Position: UInt8 {
        /// At the first digit of a size.
        case sizeStart
        /// Behind a digit.
        case size
        /// In an extension, which is checked and ignored.
        case ext
        /// Before the line feed of a size line.
        case sizeLineFeed
        /// In a chunk's data.
        case data
        /// Before the carriage return behind a chunk's data.
        case dataReturn
        /// Before the line feed behind a chunk's data.
        case dataLineFeed
        /// At the beginning of a trailer line, or of the last empty one.
        case trailerStart
        /// In a trailer line.
        case trailer
        /// Before the line feed of a trailer line.
        case trailerLineFeed
        /// Before the last line feed.
        case endLineFeed
        /// Behind the end.
        case ended
        /// Never was chunked coding.
        case bad
    }

    /// What became of some bytes.
    struct Progress {
        /// Bytes looked at; fewer than given only at the end or when bad.
        var consumed = 0
        /// When passing on: the first so many bytes leave as they are.
        var relay = 0
        /// When decoding: bytes of payload now at the beginning of the given place.
        var decoded = 0
        /// When passing on: the end was among bytes not passed on, so CR LF has to be written behind them.
        var owesLineEnd = false
    }

    /// What is said of a body that is no chunked coding.
    static let malformedMessage: StaticString = "The chunked body is malformed (RFC 9112, section 7.1)."

    /// The longest extension of a chunk, and the most bytes of all trailers.
    static let lineLimit = 4096

    private(set) var position = Position.sizeStart
    /// The size being read, or what is left of the chunk's data.
    private(set) var remaining: UInt64 = 0
    /// The last two bytes of payload, the newest in the low byte: whether a stream stands between two events.
    private(set) var lastBytes: UInt16 = 0x0a0a
    private var digits: UInt8 = 0
    private var lineBytes: UInt16 = 0

    /// Whether the last chunk and the trailers are over.
    @inline(__always) var isEnded: Bool { position == .ended }
    /// Whether the bytes were not chunked coding.
    @inline(__always) var isBad: Bool { position == .bad }
    /// Whether the payload so far is known to end in an empty line. CR LF may end one or a line of an event: no.
    @inline(__always) var isBetweenEvents: Bool { lastBytes == 0x0a0a }

    /// Follows bytes that are passed on as they are.
    @inline(__always) mutating func follow(_ view: ByteView) -> Progress { advance(view, decodingTo: nil) }

    /// Decodes bytes: the payload is moved to `target`, which may be the bytes' own place.
    mutating func decode(_ view: ByteView, to target: UnsafeMutablePointer<UInt8>) -> Progress {
        advance(view, decodingTo: target)
    }

    private mutating func advance(_ view: ByteView, decodingTo target: UnsafeMutablePointer<UInt8>?) -> Progress {
        var progress = Progress()
        var at = 0
        let count = view.count
        while at < count {
            if position == .data {
                let take = Int(min(remaining, UInt64(count &- at)))
                if let target { memmove(target + progress.decoded, view.base + at, take) }
                progress.decoded &+= take
                if take >= 2 {
                    lastBytes = UInt16(view[at &+ take &- 2]) &<< 8 | UInt16(view[at &+ take &- 1])
                } else {
                    lastBytes = lastBytes &<< 8 | UInt16(view[at])
                }
                remaining &-= UInt64(take)
                at &+= take
                if remaining == 0 { position = .dataReturn }
                progress.relay = at
                continue
            }
            let passed = passLine(view, at)
            if passed > 0 {
                at &+= passed
                progress.relay = at
                continue
            }
            let byte = view[at]
            at &+= 1
            step(byte)
            switch position {
            case .bad:
                progress.consumed = at
                return progress
            case .ended:
                // The end is passed on with the rest where nothing was dropped before it; else it is owed.
                if progress.relay == at &- 2, at >= 2, view[at &- 2] == 0x0d, lineBytes == 0 {
                    progress.relay = at
                } else {
                    progress.owesLineEnd = true
                }
                progress.consumed = at
                return progress
            case .trailer, .trailerLineFeed, .endLineFeed: break
            case .trailerStart: if lineBytes == 0 { progress.relay = at }
            default: progress.relay = at
            }
        }
        progress.consumed = at
        return progress
    }

    /// Takes what nearly all framing is, where it has come whole: the line end behind a chunk's data, and the line with the
    /// size of another chunk. How many bytes that was; 0 leaves it to ``step(_:)``.
    @inline(__always) private mutating func passLine(_ view: ByteView, _ from: Int) -> Int {
        var at = from
        if position == .dataReturn {
            guard at &+ 2 <= view.count, view[at] == 0x0d, view[at &+ 1] == 0x0a else { return 0 }
            at &+= 2
            position = .sizeStart
        }
        guard position == .sizeStart else { return at &- from }
        var size: UInt64 = 0
        var end = at
        while end < view.count, end &- at < 15, let digit = ASCII.hexValue(view[end]) {
            size = size &<< 4 | UInt64(digit)
            end &+= 1
        }
        guard size > 0, end &+ 2 <= view.count, view[end] == 0x0d, view[end &+ 1] == 0x0a else { return at &- from }
        remaining = size
        lineBytes = 0
        position = .data
        return end &+ 2 &- from
    }

    /// One byte of framing.
    private mutating func step(_ byte: UInt8) {
        switch position {
        case .sizeStart:
            guard let value = ASCII.hexValue(byte) else { return fail() }
            remaining = UInt64(value)
            digits = 1
            position = .size
        case .size:
            if let value = ASCII.hexValue(byte) {
                guard digits < 15 else { return fail() }
                digits &+= 1
                remaining = remaining &<< 4 | UInt64(value)
            } else if byte == 0x0d {
                position = .sizeLineFeed
            } else if byte == 0x3b {
                lineBytes = 0
                position = .ext
            } else {
                fail()
            }
        case .ext:
            if byte == 0x0d {
                position = .sizeLineFeed
            } else {
                lineBytes &+= 1
                let isControl = (byte < 0x20 && byte != 0x09) || byte == 0x7f
                if isControl || lineBytes > Self.lineLimit { fail() }
            }
        case .sizeLineFeed:
            guard byte == 0x0a else { return fail() }
            lineBytes = 0
            position = remaining == 0 ? .trailerStart : .data
        case .dataReturn: if byte == 0x0d { position = .dataLineFeed } else { fail() }
        case .dataLineFeed: if byte == 0x0a { position = .sizeStart } else { fail() }
        case .trailerStart, .trailer:
            if byte == 0x0d {
                position = position == .trailerStart ? .endLineFeed : .trailerLineFeed
            } else {
                lineBytes &+= 1
                let isControl = (byte < 0x20 && byte != 0x09) || byte == 0x7f
                if isControl || lineBytes > Self.lineLimit { return fail() }
                position = .trailer
            }
        case .trailerLineFeed: if byte == 0x0a { position = .trailerStart } else { fail() }
        case .endLineFeed: if byte == 0x0a { position = .ended } else { fail() }
        case .data, .ended, .bad: break
        }
    }

    private mutating func fail() { position = .bad }
}
