/// Classes of bytes, as RFC 9110 and RFC 9112 name them.
enum ASCII {
    /// A letter in lower case; every other byte as it is.
    @inline(__always) static func lowered(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// What each byte may stand in, as the low four bits of a character: 1 a token, 2 a request target, 4 a host, 8 a
    /// path. A literal lies in read-only memory and costs a load.
    @inline(__always) private static var classes: StaticString {
        """
        000000000000000000000000000000000;01;;;;::;;:??:??????????>:0:02\
        :??????????????????????????>0>1?1??????????????????????????010;0\
        0000000000000000000000000000000000000000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000
        """
    }

    /// Whether a byte may stand in a token (RFC 9110 §5.6.2): letters, digits and ``!#$%&'*+-.^_`|~``.
    @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        classes.utf8Start[Int(byte)] & 1 != 0
    }

    /// Whether a byte may stand in a request target: visible ASCII but for `"`, `#`, `<`, `>`, `\`, `^`, `` ` ``, `{`, `|`, `}`.
    ///
    /// RFC 3986 has neither these nor spaces in a path or a query. Brackets are let through: clients send them in queries.
    @inline(__always) static func isTarget(_ byte: UInt8) -> Bool {
        classes.utf8Start[Int(byte)] & 2 != 0
    }

    /// Whether a byte may stand in a path: what ``isTarget(_:)`` allows but the question mark that ends it.
    @inline(__always) static func isPath(_ byte: UInt8) -> Bool {
        classes.utf8Start[Int(byte)] & 8 != 0
    }

    /// Whether a byte may stand in a `Host` value: letters, digits, `.`, `-`, `_`, `:`, `[`, `]`.
    @inline(__always) static func isHost(_ byte: UInt8) -> Bool {
        classes.utf8Start[Int(byte)] & 4 != 0
    }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always) static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let letter = byte | 0x20
        if letter &- 0x61 < 6 { return letter &- 0x61 &+ 10 }
        return nil
    }

    /// Whether bytes may all stand in a field's value (RFC 9110 §5.5): no control character but a tab.
    @inline(__always) static func isFieldValue(_ view: ByteView) -> Bool {
        var index = 0
        let count = view.count
        if count >= 8 {
            while true {
                let word = UnsafeRawPointer(view.base + index).loadUnaligned(as: UInt64.self)
                if hasControl(word) { break }
                if index == count &- 8 { return true }
                index = min(index &+ 8, count &- 8)
            }
        }
        while index < count {
            let byte = view.base[index]
            if (byte < 0x20 && byte != 0x09) || byte == 0x7f { return false }
            index &+= 1
        }
        return true
    }

    /// Whether any of eight bytes is below 0x20 or is 0x7f; a false alarm is possible, a miss is not.
    @inline(__always) static func hasControl(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let low = (word &- ones &* 0x20) & ~word & highs
        let delete = word ^ (ones &* 0x7f)
        let deleted = (delete &- ones) & ~delete & highs
        return (low | deleted) != 0
    }
}
