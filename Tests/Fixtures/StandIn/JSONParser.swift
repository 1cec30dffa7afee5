/// Why a text is not JSON, in the words of Python's decoder, which vLLM passes on.
struct JSONError: Error {
    let offset: Int
    let reason: String
}

/// Reads one JSON value out of bytes.
struct JSONParser {
    private let bytes: [UInt8]
    private var at = 0

    /// The value that the bytes are, the whole of them.
    static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value(depth: 0)
        parser.blanks()
        guard parser.at == bytes.count else { throw JSONError(offset: parser.at, reason: "Extra data") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var here: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func blanks() {
        while let byte = here, byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) { at += 1 }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard at + count <= bytes.count else { return false }
        for index in 0..<count where bytes[at + index] != text.utf8Start[index] { return false }
        at += count
        return true
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        guard depth < 400 else { throw JSONError(offset: at, reason: "Too deeply nested") }
        blanks()
        switch here {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t") where take("true"): return .bool(true)
        case UInt8(ascii: "f") where take("false"): return .bool(false)
        case UInt8(ascii: "n") where take("null"): return .null
        case .some(let byte) where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): return try number()
        default: throw JSONError(offset: at, reason: "Expecting value")
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON {
        at += 1
        var members: [(String, JSON)] = []
        blanks()
        if here == UInt8(ascii: "}") {
            at += 1
            return .object(members)
        }
        while true {
            blanks()
            guard here == UInt8(ascii: "\"") else {
                throw JSONError(offset: at, reason: "Expecting property name enclosed in double quotes")
            }
            let name = try string()
            blanks()
            guard take(":") else { throw JSONError(offset: at, reason: "Expecting ':' delimiter") }
            members.append((name, try value(depth: depth + 1)))
            blanks()
            if take(",") { continue }
            if take("}") { return .object(members) }
            throw JSONError(offset: at, reason: "Expecting ',' delimiter")
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSON {
        at += 1
        var elements: [JSON] = []
        blanks()
        if here == UInt8(ascii: "]") {
            at += 1
            return .array(elements)
        }
        while true {
            elements.append(try value(depth: depth + 1))
            blanks()
            if take(",") { continue }
            if take("]") { return .array(elements) }
            throw JSONError(offset: at, reason: "Expecting ',' delimiter")
        }
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = at
        while let byte = here, "+-.eE0123456789".utf8.contains(byte) { at += 1 }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if let value = Int(text) { return .integer(value) }
        if let value = Double(text) { return .number(value) }
        throw JSONError(offset: start, reason: "Expecting value")
    }

    private mutating func string() throws(JSONError) -> String {
        let start = at
        at += 1
        var out: [UInt8] = []
        while let byte = here {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &out)
            case 0..<0x20: throw JSONError(offset: at - 1, reason: "Invalid control character at")
            default: out.append(byte)
            }
        }
        throw JSONError(offset: start, reason: "Unterminated string starting at")
    }

    private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
        guard let byte = here else { throw JSONError(offset: at, reason: "Unterminated string starting at") }
        at += 1
        switch byte {
        case UInt8(ascii: "n"): out.append(0x0a)
        case UInt8(ascii: "r"): out.append(0x0d)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0c)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
        case UInt8(ascii: "u"):
            var code = try hex4()
            if (0xd800..<0xdc00).contains(code), take("\\u") {
                let low = try hex4()
                if (0xdc00..<0xe000).contains(low) { code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00) }
            }
            out += Array(String(Unicode.Scalar(code) ?? "\u{fffd}").utf8)
        default: throw JSONError(offset: at - 1, reason: "Invalid \\escape")
        }
    }

    private mutating func hex4() throws(JSONError) -> UInt32 {
        guard at + 4 <= bytes.count,
            let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
        else { throw JSONError(offset: at, reason: "Invalid \\uXXXX escape") }
        at += 4
        return code
    }
}
