/// A JSON document (RFC 8259) as a tree that remembers where each value stands in the bytes, so that a part of it can
/// be handed on exactly as it was written.
struct JSONText {
    /// A value and its place.
    struct Node {
        var value: Value
        /// The bytes of the value, without surrounding blanks.
        var span: Range<Int>

        /// A member of an object; the first of that name. Nil for other values.
        subscript(name: String) -> Node? {
            guard case .object(let members) = value else { return nil }
            return members.first { $0.name == name }?.node
        }

        /// The string, where it is one.
        var string: String? { if case .string(let text) = value { text } else { nil } }
        /// The number, where it is one.
        var number: Double? { if case .number(let number) = value { number } else { nil } }
        /// The elements, where it is an array.
        var elements: [Node]? { if case .array(let elements) = value { elements } else { nil } }
        /// Whether it is an object.
        var isObject: Bool { if case .object = value { true } else { false } }
        /// Whether it is `null`.
        var isNull: Bool { if case .null = value { true } else { false } }
    }

    /// What a value is.
    indirect enum Value {
        case null
        case bool(Bool)
        case number(Double)
        case string(String)
        case array([Node])
        case object([(name: String, node: Node)])
    }

    /// Deeper documents are refused: the parser is recursive.
    static let maximumDepth = 128

    private let bytes: [UInt8]
    private var index = 0

    /// The document's root; nil when the bytes are not one whole JSON value.
    static func parse(_ bytes: [UInt8]) -> Node? {
        var text = JSONText(bytes: bytes)
        guard let root = text.readValue(depth: 0) else { return nil }
        text.skipBlanks()
        return text.index == bytes.count ? root : nil
    }

    /// A string as a JSON string, quotes included.
    static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func readValue(depth: Int) -> Node? {
        guard depth < JSONText.maximumDepth else { return nil }
        skipBlanks()
        guard index < bytes.count else { return nil }
        let start = index
        let value: Value?
        switch bytes[index] {
        case UInt8(ascii: "{"): value = readObject(depth: depth)
        case UInt8(ascii: "["): value = readArray(depth: depth)
        case UInt8(ascii: "\""): value = readString().map { .string($0) }
        case UInt8(ascii: "t"): value = readWord("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): value = readWord("false") ? .bool(false) : nil
        case UInt8(ascii: "n"): value = readWord("null") ? .null : nil
        default: value = readNumber().map { .number($0) }
        }
        return value.map { Node(value: $0, span: start..<index) }
    }

    private mutating func readObject(depth: Int) -> Value? {
        index += 1
        var members: [(name: String, node: Node)] = []
        skipBlanks()
        if take("}") { return .object(members) }
        while true {
            skipBlanks()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\""), let name = readString() else { return nil }
            skipBlanks()
            guard take(":"), let node = readValue(depth: depth + 1) else { return nil }
            members.append((name, node))
            skipBlanks()
            if take("}") { return .object(members) }
            guard take(",") else { return nil }
        }
    }

    private mutating func readArray(depth: Int) -> Value? {
        index += 1
        var elements: [Node] = []
        skipBlanks()
        if take("]") { return .array(elements) }
        while true {
            guard let node = readValue(depth: depth + 1) else { return nil }
            elements.append(node)
            skipBlanks()
            if take("]") { return .array(elements) }
            guard take(",") else { return nil }
        }
    }

    private mutating func readString() -> String? {
        index += 1
        var text: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"): guard readEscape(into: &text) else { return nil }
            case 0..<0x20: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func readEscape(into text: inout [UInt8]) -> Bool {
        guard index < bytes.count else { return false }
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let unit = readHex() else { return false }
            var scalar = UInt32(unit)
            if 0xD800..<0xDC00 ~= unit, index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"),
                bytes[index + 1] == UInt8(ascii: "u")
            {
                let before = index
                index += 2
                guard let low = readHex() else { return false }
                if 0xDC00..<0xE000 ~= low {
                    scalar = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
                } else {
                    index = before
                }
            }
            // Half a pair names nothing: the replacement character stands for it.
            text.append(contentsOf: String(Character(Unicode.Scalar(scalar) ?? "\u{FFFD}")).utf8)
        default: return false
        }
        return true
    }

    private mutating func readHex() -> UInt16? {
        guard index + 4 <= bytes.count else { return nil }
        var unit: UInt16 = 0
        for byte in bytes[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        index += 4
        return unit
    }

    private mutating func readNumber() -> Double? {
        let start = index
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                index += 1
            default:
                return index > start ? Double(String(decoding: bytes[start..<index], as: UTF8.self)) : nil
            }
        }
        return index > start ? Double(String(decoding: bytes[start..<index], as: UTF8.self)) : nil
    }

    private mutating func readWord(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard index + length <= bytes.count,
            bytes[index..<index + length].elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: length))
        else { return false }
        index += length
        return true
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func skipBlanks() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0a, 0x0d: index += 1
            default: return
            }
        }
    }
}
