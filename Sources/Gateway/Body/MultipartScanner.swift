import CLinux

/// Looks through a `multipart/form-data` body (RFC 7578) as its bytes come, split anywhere, for the value of one small
/// field. It keeps a window of some KiB, never the body.
struct MultipartScanner {
    /// The longest head of a part, and the longest value.
    static let limit = 16 << 10

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
    private var base = -2
    private var isWanted = false
    private var valueStart = 0

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
        return state == .done
    }

    private mutating func step() -> Bool {
        switch state {
        case .done: return false
        case .preamble, .data:
            guard let found = index(of: delimiter) else {
                if isWanted {
                    if window.count > Self.limit { give(up: true) }
                } else {
                    drop(max(0, window.count - delimiter.count))
                }
                return false
            }
            if state == .data, isWanted {
                value = Array(window[..<found])
                place = (valueStart, base + found)
                give(up: false)
                return false
            }
            drop(found + delimiter.count)
            state = .afterDelimiter
        case .afterDelimiter:
            guard window.count >= 2 else { return false }
            guard window[0] == 0x0d, window[1] == 0x0a else {
                give(up: true)
                return false
            }
            // The line's end stays: a head without a field begins with the empty line.
            state = .head
        case .head:
            guard let end = index(of: [0x0d, 0x0a, 0x0d, 0x0a]) else {
                if window.count > Self.limit { give(up: true) }
                return false
            }
            isWanted = window.withUnsafeBufferPointer { bytes in
                Multipart.isNamed(name, ByteView(bytes.baseAddress!, end + 2))
            }
            // The value may be empty, its delimiter's line end right behind the head.
            drop(end + 4)
            valueStart = base
            state = .data
        }
        return true
    }

    private mutating func give(up isHopeless: Bool) {
        isOver = isHopeless
        state = .done
        window = []
    }

    private mutating func drop(_ count: Int) {
        window.removeFirst(count)
        base += count
    }

    private func index(of needle: [UInt8]) -> Int? {
        window.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, let found = stoker_memmem(base, bytes.count, needle, needle.count)
            else { return nil }
            return found - base
        }
    }
}
