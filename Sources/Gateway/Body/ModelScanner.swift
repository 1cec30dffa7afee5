import CLinux

/// Checks a JSON body as its bytes come and finds the value of the top-level key `model`, wherever it stands,
/// without decoding anything: an SDK sends `messages` before `model`.
///
/// RFC 8259 in UTF-8 without a byte order mark, an object at the top, at most 128 levels, `model` at most once
/// (keys are compared unescaped) and a string. Bytes may be split anywhere. On the way it notes the value of
/// `previous_response_id`, which decides where a follow-up goes.
struct ModelScanner {
    /// The deepest nesting.
    static let depthLimit = 128

    /// A string value's place in the body: from its opening quote to behind its closing one.
    struct Place: Equatable {
        var start: Int
        var end: Int
        /// Whether a backslash is in it.
        var hasEscapes: Bool
    }

    private enum State: UInt8 {
        case start, value, firstKey, key, colon, afterValue, done
        case string, escape, unicode, multibyte
        case minus, zero, integer, fraction, fractionDigits, exponent, exponentSign, exponentDigits
        case literal, firstElement
    }

    /// Where the model's value lies; nil when there was none (so far).
    private(set) var model: Place?
    /// Where the value of `previous_response_id` lies, if it is a string.
    private(set) var previousResponse: Place?
    /// What is wrong, once something is.
    private(set) var failure: JSONFailure?

    private var state = State.start
    private var depth = 0
    // One bit a level, set for an object; level 1 is the lowest bit.
    private var kindsLow: UInt64 = 0
    private var kindsHigh: UInt64 = 0
    // The string being read.
    private var isKey = false
    private var stringStart = 0
    private var hasEscapes = false
    private var keyLength = 0
    private var matchesModel = false
    private var matchesPrevious = false
    private var takesModel = false
    private var takesPrevious = false
    // UTF-8: bytes still to come, and the bounds of the next one.
    private var pending: UInt8 = 0
    private var lower: UInt8 = 0x80
    private var upper: UInt8 = 0xbf
    // \u: digits read and their value.
    private var hexDigits: UInt8 = 0
    private var hexValue: UInt16 = 0
    // true, false, null.
    private var literal: UInt8 = 0
    private var literalAt: UInt8 = 0
    private var offset = 0

    /// Whether a whole object has been seen.
    var isComplete: Bool { state == .done && failure == nil }

    /// Takes the next bytes of the body; false once something is wrong.
    ///
    /// Strings that lie whole in these bytes and the structure between them, which is nearly everything, are taken
    /// here; ``step(_:_:)`` takes whatever else there is, byte by byte.
    @discardableResult mutating func feed(_ view: ByteView) -> Bool {
        if failure != nil { return false }
        var at = 0
        let count = view.count
        while at < count {
            let byte = view[at]
            switch state {
            case .string:
                let from = at
                at = isKey ? TextRun.plain(view, at) : TextRun.text(view, at, &hasEscapes)
                if at > from, isKey, matchesModel || matchesPrevious { matchRun(view, from, at) }
                if at == count { continue }
                if view[at] == 0x22 {
                    endString(offset &+ at)
                    if failure != nil { return false }
                    at &+= 1
                    continue
                }
                let letter = TextRun.letter(view, at)
                if letter > 0 {
                    if isKey { mismatch() }
                    at &+= letter
                    continue
                }
            case .key, .firstKey:
                if byte == 0x22 {
                    let end = TextRun.plain(view, at &+ 1)
                    if end < count, view[end] == 0x22 {
                        wholeKey(view.slice(at &+ 1, end))
                        if failure != nil { return false }
                        at = end &+ 1
                        if at < count, view[at] == 0x3a {
                            state = .value
                            at &+= 1
                        }
                        continue
                    }
                }
            case .value, .firstElement:
                if byte == 0x22 {
                    beginString(offset &+ at, key: false)
                    let end = TextRun.text(view, at &+ 1, &hasEscapes)
                    at = end
                    if end < count, view[end] == 0x22 {
                        endString(offset &+ end)
                        at = end &+ 1
                    }
                    continue
                }
            case .afterValue:
                if byte == 0x2c {
                    state = topIsObject ? .key : .value
                    at &+= 1
                    continue
                }
            case .integer, .fractionDigits, .exponentDigits:
                if byte &- 0x30 < 10 {
                    at &+= 1
                    continue
                }
            default: break
            }
            step(view[at], offset &+ at)
            if failure != nil { return false }
            at &+= 1
        }
        offset &+= count
        return true
    }

    /// A key that lies whole in the bytes at hand, no escapes in it.
    @inline(__always) private mutating func wholeKey(_ key: ByteView) {
        state = .colon
        isKey = false
        guard depth == 1 else { return }
        takesModel = key.equals("model")
        takesPrevious = key.equals("previous_response_id")
        if takesModel, model != nil { fail(.duplicateModel) }
    }

    /// Says that the body is over; what is wrong with it, or nil.
    mutating func finish() -> JSONFailure? {
        if failure == nil, state != .done { failure = state == .start ? .notAnObject : .truncated }
        return failure
    }

    /// Compares a run of a top-level key's bytes.
    private mutating func matchRun(_ view: ByteView, _ from: Int, _ to: Int) {
        for index in from..<to {
            if !matchesModel && !matchesPrevious { return }
            match(view[index])
        }
    }

    /// Compares the next unescaped byte of a top-level key.
    private mutating func match(_ byte: UInt8) {
        let model: StaticString = "model"
        let previous: StaticString = "previous_response_id"
        matchesModel = matchesModel && keyLength < 5 && model.utf8Start[keyLength] == byte
        matchesPrevious = matchesPrevious && keyLength < 20 && previous.utf8Start[keyLength] == byte
        keyLength &+= 1
    }

    private mutating func mismatch() {
        matchesModel = false
        matchesPrevious = false
    }

    /// One byte of structure, or of what is not plain in a string.
    private mutating func step(_ byte: UInt8, _ position: Int) {
        switch state {
        case .string: stringByte(byte, position)
        case .multibyte:
            guard byte >= lower, byte <= upper else { return fail(.utf8) }
            lower = 0x80
            upper = 0xbf
            pending &-= 1
            if pending == 0 { state = .string }
        case .escape: escaped(byte)
        case .unicode:
            guard let digit = ASCII.hexValue(byte) else { return fail(.syntax) }
            hexValue = hexValue &<< 4 | UInt16(digit)
            hexDigits &+= 1
            if hexDigits == 4 {
                state = .string
                if isKey { if hexValue < 0x80 { match(UInt8(hexValue)) } else { mismatch() } }
            }
        case .start, .value, .firstElement, .firstKey, .key, .colon, .afterValue, .done: structure(byte, position)
        case .literal:
            let text: StaticString = literal == 0x74 ? "true" : literal == 0x66 ? "false" : "null"
            guard text.utf8Start[Int(literalAt)] == byte else { return fail(.syntax) }
            literalAt &+= 1
            if Int(literalAt) == text.utf8CodeUnitCount { state = .afterValue }
        default: number(byte, position)
        }
    }

    private mutating func stringByte(_ byte: UInt8, _ position: Int) {
        switch byte {
        case 0x22: endString(position)
        case 0x5c:
            hasEscapes = true
            state = .escape
        case 0..<0x20: fail(.syntax)
        case 0xc2...0xdf: multibyte(1, 0x80, 0xbf)
        case 0xe0: multibyte(2, 0xa0, 0xbf)
        case 0xe1...0xec, 0xee, 0xef: multibyte(2, 0x80, 0xbf)
        case 0xed: multibyte(2, 0x80, 0x9f)
        case 0xf0: multibyte(3, 0x90, 0xbf)
        case 0xf1...0xf3: multibyte(3, 0x80, 0xbf)
        case 0xf4: multibyte(3, 0x80, 0x8f)
        case 0x80...: fail(.utf8)
        default: break
        }
    }

    private mutating func multibyte(_ count: UInt8, _ low: UInt8, _ high: UInt8) {
        pending = count
        lower = low
        upper = high
        state = .multibyte
        mismatch()
    }

    private mutating func escaped(_ byte: UInt8) {
        state = .string
        let plain: UInt8
        switch byte {
        case 0x22, 0x5c, 0x2f: plain = byte
        case 0x62: plain = 0x08
        case 0x66: plain = 0x0c
        case 0x6e: plain = 0x0a
        case 0x72: plain = 0x0d
        case 0x74: plain = 0x09
        case 0x75:
            hexDigits = 0
            hexValue = 0
            state = .unicode
            return
        default: return fail(.syntax)
        }
        if isKey { match(plain) }
    }

    private mutating func beginString(_ position: Int, key: Bool) {
        state = .string
        stringStart = position
        hasEscapes = false
        isKey = key
        keyLength = 0
        matchesModel = key && depth == 1
        matchesPrevious = matchesModel
    }

    private mutating func endString(_ position: Int) {
        if isKey {
            state = .colon
            if depth == 1 {
                takesModel = matchesModel && keyLength == 5
                takesPrevious = matchesPrevious && keyLength == 20
                if takesModel, model != nil { fail(.duplicateModel) }
            }
            isKey = false
            return
        }
        state = .afterValue
        guard depth == 1 else { return }
        let place = Place(start: stringStart, end: position &+ 1, hasEscapes: hasEscapes)
        if takesModel { model = place }
        if takesPrevious { previousResponse = place }
    }

    private mutating func structure(_ byte: UInt8, _ position: Int) {
        if byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { return }
        switch state {
        case .start:
            switch byte {
            case 0x7b: push(object: true)
            case 0xef: fail(.byteOrderMark)
            default: fail(.notAnObject)
            }
        case .firstKey:
            if byte == 0x22 {
                beginString(position, key: true)
            } else if byte == 0x7d {
                pop()
            } else {
                fail(.syntax)
            }
        case .key: if byte == 0x22 { beginString(position, key: true) } else { fail(.syntax) }
        case .colon: if byte == 0x3a { state = .value } else { fail(.syntax) }
        case .firstElement: if byte == 0x5d { pop() } else { value(byte, position) }
        case .value: value(byte, position)
        case .afterValue: afterValue(byte)
        default: fail(.syntax)
        }
    }

    private mutating func value(_ byte: UInt8, _ position: Int) {
        if takesModel, depth == 1, byte != 0x22 { return fail(.modelNotString) }
        switch byte {
        case 0x22: beginString(position, key: false)
        case 0x7b: push(object: true)
        case 0x5b: push(object: false)
        case 0x2d: state = .minus
        case 0x30: state = .zero
        case 0x31...0x39: state = .integer
        case 0x74, 0x66, 0x6e:
            literal = byte
            literalAt = 1
            state = .literal
        default: fail(.syntax)
        }
    }

    private mutating func afterValue(_ byte: UInt8) {
        let inObject = topIsObject
        switch byte {
        case 0x2c: state = inObject ? .key : .value
        case 0x7d: if inObject { pop() } else { fail(.syntax) }
        case 0x5d: if inObject { fail(.syntax) } else { pop() }
        default: fail(.syntax)
        }
    }

    /// Numbers end only by what follows them, which is looked at again as structure.
    private mutating func number(_ byte: UInt8, _ position: Int) {
        let isDigit = byte &- 0x30 < 10
        switch state {
        case .minus: if byte == 0x30 { state = .zero } else if isDigit { state = .integer } else { fail(.syntax) }
        case .integer where isDigit, .fractionDigits where isDigit, .exponentDigits where isDigit: break
        case .zero where byte == 0x2e, .integer where byte == 0x2e: state = .fraction
        case .zero where byte | 0x20 == 0x65, .integer where byte | 0x20 == 0x65,
            .fractionDigits where byte | 0x20 == 0x65:
            state = .exponent
        case .fraction: if isDigit { state = .fractionDigits } else { fail(.syntax) }
        case .exponent:
            if isDigit {
                state = .exponentDigits
            } else if byte == 0x2b || byte == 0x2d {
                state = .exponentSign
            } else {
                fail(.syntax)
            }
        case .exponentSign: if isDigit { state = .exponentDigits } else { fail(.syntax) }
        default:
            state = .afterValue
            structure(byte, position)
        }
    }

    private var topIsObject: Bool {
        let level = depth &- 1
        return level < 64 ? (kindsLow &>> UInt64(level)) & 1 != 0 : (kindsHigh &>> UInt64(level &- 64)) & 1 != 0
    }

    private mutating func push(object: Bool) {
        guard depth < Self.depthLimit else { return fail(.depth) }
        let level = UInt64(depth)
        let bit: UInt64 = object ? 1 : 0
        if level < 64 {
            kindsLow = kindsLow & ~(1 &<< level) | bit &<< level
        } else {
            kindsHigh = kindsHigh & ~(1 &<< (level &- 64)) | bit &<< (level &- 64)
        }
        depth &+= 1
        state = object ? .firstKey : .firstElement
    }

    private mutating func pop() {
        depth &-= 1
        state = depth == 0 ? .done : .afterValue
    }

    private mutating func fail(_ reason: JSONFailure) { failure = reason }
}
