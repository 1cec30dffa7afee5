/// JSON strings on their own: unescaping a value that was checked, and escaping one that is written.
enum JSONString {
    /// Unescapes what stands between a checked string's quotes into `target`, which has room for as many bytes.
    ///
    /// - Returns: the number of bytes written. A surrogate without its half becomes U+FFFD, which no model id holds.
    static func unescape(_ inner: ByteView, into target: UnsafeMutablePointer<UInt8>) -> Int {
        var at = 0
        var out = 0
        while at < inner.count {
            let byte = inner[at]
            at += 1
            guard byte == 0x5c, at < inner.count else {
                target[out] = byte
                out += 1
                continue
            }
            let escape = inner[at]
            at += 1
            switch escape {
            case 0x62: target[out] = 0x08
            case 0x66: target[out] = 0x0c
            case 0x6e: target[out] = 0x0a
            case 0x72: target[out] = 0x0d
            case 0x74: target[out] = 0x09
            case 0x75:
                var scalar = unit(inner, at)
                at += 4
                if scalar & 0xfc00 == 0xd800, at + 6 <= inner.count, inner[at] == 0x5c, inner[at + 1] == 0x75 {
                    let low = unit(inner, at + 2)
                    if low & 0xfc00 == 0xdc00 {
                        scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
                        at += 6
                    }
                }
                out += encode(scalar & 0xffff_f800 == 0xd800 ? 0xfffd : scalar, target + out)
                continue
            default: target[out] = escape
            }
            out += 1
        }
        return out
    }

    private static func unit(_ view: ByteView, _ at: Int) -> UInt32 {
        var value: UInt32 = 0
        for index in at..<min(at + 4, view.count) { value = value << 4 | UInt32(ASCII.hexValue(view[index]) ?? 0) }
        return value
    }

    private static func encode(_ scalar: UInt32, _ target: UnsafeMutablePointer<UInt8>) -> Int {
        func byte(_ value: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: value) }
        if scalar < 0x80 {
            target[0] = byte(scalar)
            return 1
        }
        if scalar < 0x800 {
            target[0] = byte(0xc0 | scalar >> 6)
            target[1] = byte(0x80 | scalar & 0x3f)
            return 2
        }
        if scalar < 0x10000 {
            target[0] = byte(0xe0 | scalar >> 12)
            target[1] = byte(0x80 | scalar >> 6 & 0x3f)
            target[2] = byte(0x80 | scalar & 0x3f)
            return 3
        }
        target[0] = byte(0xf0 | scalar >> 18)
        target[1] = byte(0x80 | scalar >> 12 & 0x3f)
        target[2] = byte(0x80 | scalar >> 6 & 0x3f)
        target[3] = byte(0x80 | scalar & 0x3f)
        return 4
    }

    /// A text as a JSON string, quotes included. Only what must be escaped is.
    static func encode(_ text: some Sequence<UInt8>) -> [UInt8] {
        var out: [UInt8] = [0x22]
        let digits = Array("0123456789abcdef".utf8)
        for byte in text {
            switch byte {
            case 0x22, 0x5c:
                out.append(0x5c)
                out.append(byte)
            case 0x0a: out.append(contentsOf: Array("\\n".utf8))
            case 0x0d: out.append(contentsOf: Array("\\r".utf8))
            case 0x09: out.append(contentsOf: Array("\\t".utf8))
            case 0..<0x20:
                out.append(contentsOf: Array("\\u00".utf8))
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(0x22)
        return out
    }

    /// A text as a JSON string, quotes included.
    static func encode(_ text: String) -> [UInt8] { encode(text.utf8) }
}
