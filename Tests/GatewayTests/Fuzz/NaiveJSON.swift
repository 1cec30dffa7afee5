/// RFC 8259, read the plain way: recursive, with arrays, every key kept. What the scanner must agree with.
struct NaiveJSON {
    /// A value as far as the comparison needs it.
    enum Value: Equatable {
        case string([UInt8])
        case object([Member])
        case other
    }

    struct Member: Equatable {
        var key: [UInt8]
        var value: Value
    }

    private struct Refusal: Error {}

    private let bytes: [UInt8]
    private var at = 0

    /// The members of the object that the bytes are; nil where they are none, or nest deeper than 128 levels.
    static func members(_ bytes: [UInt8]) -> [Member]? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var parser = NaiveJSON(bytes: bytes)
        guard case .object(let members)? = try? parser.value(0) else { return nil }
        parser.blanks()
        return parser.at == bytes.count ? members : nil
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func next() throws -> UInt8 {
        guard at < bytes.count else { throw Refusal() }
        at += 1
        return bytes[at - 1]
    }

    private func peek() -> UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func blanks() {
        while let byte = peek(), [0x20, 0x09, 0x0a, 0x0d].contains(byte) { at += 1 }
    }

    private mutating func word(_ text: String) throws {
        for byte in text.utf8 where try next() != byte { throw Refusal() }
    }

    private mutating func value(_ depth: Int) throws -> Value {
        blanks()
        switch peek() {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return .object(try object(depth + 1))
        case UInt8(ascii: "["): try array(depth + 1)
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: try number()
        }
        return .other
    }

    private mutating func object(_ depth: Int) throws -> [Member] {
        guard depth <= 128 else { throw Refusal() }
        at += 1
        blanks()
        if peek() == UInt8(ascii: "}") {
            at += 1
            return []
        }
        var members: [Member] = []
        while true {
            blanks()
            guard peek() == UInt8(ascii: "\"") else { throw Refusal() }
            let key = try string()
            blanks()
            guard try next() == UInt8(ascii: ":") else { throw Refusal() }
            members.append(Member(key: key, value: try value(depth)))
            blanks()
            switch try next() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "}"): return members
            default: throw Refusal()
            }
        }
    }

    private mutating func array(_ depth: Int) throws {
        guard depth <= 128 else { throw Refusal() }
        at += 1
        blanks()
        if peek() == UInt8(ascii: "]") {
            at += 1
            return
        }
        while true {
            _ = try value(depth)
            blanks()
            switch try next() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "]"): return
            default: throw Refusal()
            }
        }
    }

    private mutating func digits() throws {
        guard let first = peek(), (0x30...0x39).contains(first) else { throw Refusal() }
        while let byte = peek(), (0x30...0x39).contains(byte) { at += 1 }
    }

    private mutating func number() throws {
        if peek() == UInt8(ascii: "-") { at += 1 }
        if peek() == UInt8(ascii: "0") { at += 1 } else { try digits() }
        if peek() == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if let byte = peek(), byte | 0x20 == UInt8(ascii: "e") {
            at += 1
            if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
    }

    private mutating func string() throws -> [UInt8] {
        at += 1
        var out: [UInt8] = []
        while true {
            let byte = try next()
            switch byte {
            case UInt8(ascii: "\""): return out
            case 0..<0x20: throw Refusal()
            case UInt8(ascii: "\\"): out += try escape()
            default: out.append(byte)
            }
        }
    }

    private mutating func escape() throws -> [UInt8] {
        switch try next() {
        case UInt8(ascii: "\""): return [0x22]
        case UInt8(ascii: "\\"): return [0x5c]
        case UInt8(ascii: "/"): return [0x2f]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return try unit()
        default: throw Refusal()
        }
    }

    private mutating func hex() throws -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Character(UnicodeScalar(try next())).hexDigitValue else { throw Refusal() }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    /// One UTF-16 unit or a pair of them; a half without its other becomes U+FFFD.
    private mutating func unit() throws -> [UInt8] {
        let first = try hex()
        if UTF16.isLeadSurrogate(first), peek() == UInt8(ascii: "\\"), at + 1 < bytes.count,
            bytes[at + 1] == UInt8(ascii: "u")
        {
            let back = at
            at += 2
            let second = try hex()
            if UTF16.isTrailSurrogate(second) {
                return Array(String(decoding: [first, second], as: UTF16.self).utf8)
            }
            at = back
        }
        return Array(String(decoding: [first], as: UTF16.self).utf8)
    }
}
