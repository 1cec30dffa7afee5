import CLinux

/// Looks through a `multipart/form-data` body (RFC 7578) as its bytes come, split anywhere, for the value of one small
/// field. It keeps a window of some KiB, never the body.
struct MultipartScanner {
    /// The longest head of a part, and the longest value.
    static let limit = 16 << 10
    /// The most parts up to the value: Starlette, under vLLM, takes no more.
    static let partLimit = 2000

    private enum State {
        case preamble, afterDelimiter, head, data, done
    }

    /// Where the value lies in the body, once it has been seen whole.
    private(set) var place: (start: Int, end: Int)?
    /// The value.
    private(set) var value: [UInt8] = []
    /// Whether no value can come any more: the body is over, or no multipart body.
    private(set) var isOver = false

    private let name: String
    private let delimiter: [UInt8]
    private var state = State.preamble
    // Two bytes of its own before the body's, so that the first delimiter is like the others.
    private var window: [UInt8] = [0x0d, 0x0a]
    // What is left of the window begins here; only at the end of a feed is it moved to the front.
    private var at = 0
    private var base = -2
    private var isWanted = false
    private var valueStart = 0
    private var parts = 0

    /// A scanner for a field's value.
    init(_ name: String, boundary: [UInt8]) {
        self.name = name
        delimiter = Array("\r\n--".utf8) + boundary
    }

    /// Takes the next bytes; true once the value is known or cannot come.
    mutating func feed(_ view: ByteView) -> Bool {
        if state == .done { return true }
        window += UnsafeBufferPointer(start: view.base, count: view.count)
        while step() {}
        if state == .done { return true }
        window.removeFirst(at)
        base += at
        at = 0
        return false
    }

    /// Looks for another value behind the one that was found; places count from there.
    mutating func goOn() {
        guard place != nil else { return }
        place = nil
        value = []
        isWanted = false
        state = .data
        at = 0
        base = 0
    }

    private mutating func step() -> Bool {
        switch state {
        case .done: return false
        case .preamble, .data:
            guard let found = index(of: delimiter) else {
                if isWanted {
                    if window.count - at > Self.limit + delimiter.count { give(up: true) }
                } else {
                    at = max(at, window.count - delimiter.count)
                }
                return false
            }
            if state == .data, isWanted {
                guard found - at <= Self.limit else {
                    give(up: true)
                    return false
                }
                value = Array(window[at..<found])
                place = (valueStart, base + found)
                give(up: false)
                return false
            }
            at = found + delimiter.count
            state = .afterDelimiter
        case .afterDelimiter:
            guard window.count >= at + 2 else { return false }
            parts += 1
            guard window[at] == 0x0d, window[at + 1] == 0x0a, parts <= Self.partLimit else {
                give(up: true)
                return false
            }
            // The line's end stays: a head without a field begins with the empty line.
            state = .head
        case .head:
            guard let end = index(of: [0x0d, 0x0a, 0x0d, 0x0a]), end + 4 - at <= Self.limit else {
                if window.count - at >= Self.limit { give(up: true) }
                return false
            }
            isWanted = window.withUnsafeBufferPointer { bytes in
                Multipart.isNamed(name, ByteView(bytes.baseAddress! + at, end + 2 - at))
            }
            // The value may be empty, its delimiter's line end right behind the head.
            at = end + 4
            valueStart = base + at
            state = .data
        }
        return true
    }

    private mutating func give(up isHopeless: Bool) {
        isOver = isHopeless
        state = .done
        window = []
        at = 0
    }

    /// The first place of some bytes in what is left of the window.
    private func index(of needle: [UInt8]) -> Int? {
        window.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, bytes.count > at,
                let found = stoker_memmem(base + at, bytes.count - at, needle, needle.count)
            else { return nil }
            return found - base
        }
    }
}
