import CLinux

/// Some bytes in memory that somebody else owns, valid as long as the call that was given them.
///
/// The one read-only window that parsers look through: every index is checked in debug builds.
struct ByteView {
    /// The first byte.
    let base: UnsafePointer<UInt8>
    /// How many bytes.
    let count: Int

    /// A window of `count` bytes from `base`.
    @inline(__always) init(_ base: UnsafePointer<UInt8>, _ count: Int) {
        self.base = base
        self.count = count
    }

    /// A literal's bytes.
    @inline(__always) init(_ text: StaticString) {
        base = text.utf8Start
        count = text.utf8CodeUnitCount
    }

    /// Whether there is nothing in it.
    @inline(__always) var isEmpty: Bool { count == 0 }

    /// The byte at an index.
    @inline(__always) subscript(index: Int) -> UInt8 {
        assert(index >= 0 && index < count)
        return base[index]
    }

    /// The bytes from one index up to, not including, another.
    @inline(__always) func slice(_ from: Int, _ to: Int) -> ByteView {
        assert(from >= 0 && from <= to && to <= count)
        return ByteView(base + from, to - from)
    }

    /// The bytes from an index on.
    @inline(__always) func dropping(_ from: Int) -> ByteView { slice(from, count) }

    /// Sixteen bytes from an index on.
    @inline(__always) func sixteen(at index: Int) -> Sixteen {
        assert(index >= 0 && index + 16 <= count)
        return UnsafeRawPointer(base + index).loadUnaligned(as: Sixteen.self)
    }

    /// Whether both hold the same bytes.
    @inline(__always) func equals(_ other: ByteView) -> Bool {
        count == other.count && memcmp(base, other.base, count) == 0
    }

    /// Whether it holds exactly the literal.
    @inline(__always) func equals(_ text: StaticString) -> Bool { equals(ByteView(text)) }

    /// Whether it begins with the literal.
    @inline(__always) func hasPrefix(_ text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && memcmp(base, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    /// Whether it holds the literal in any case. The literal is made of lower-case letters, digits and what has the
    /// bit of lower case anyway, such as a hyphen; and it is no control character that could become one by that bit.
    @inline(__always) func equalsIgnoringCase(_ lower: StaticString) -> Bool {
        let length = lower.utf8CodeUnitCount
        guard count == length else { return false }
        let text = lower.utf8Start
        if length >= 8 {
            // Whole words, the last of them overlapping the one before.
            var index = 0
            while true {
                let mine = UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self)
                let other = UnsafeRawPointer(text + index).loadUnaligned(as: UInt64.self)
                guard mine | 0x2020_2020_2020_2020 == other | 0x2020_2020_2020_2020 else { return false }
                if index == length &- 8 { return true }
                index = min(index &+ 8, length &- 8)
            }
        }
        for index in 0..<length where base[index] | 0x20 != text[index] | 0x20 { return false }
        return true
    }

    /// Whether both hold the same bytes when letters' case does not count.
    func equalsIgnoringCase(_ other: ByteView) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where ASCII.lowered(base[index]) != ASCII.lowered(other.base[index]) { return false }
        return true
    }

    /// The first place of a byte, or nil.
    @inline(__always) func firstIndex(of byte: UInt8, from: Int = 0) -> Int? {
        assert(from >= 0 && from <= count)
        guard let found = memchr(base + from, Int32(byte), count - from) else { return nil }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }

    /// Whether the literal occurs anywhere.
    @inline(__always) func contains(_ text: StaticString) -> Bool { firstIndex(of: text) != nil }

    /// The first place of a literal of at least two bytes, or nil: where its first two bytes stand, sixteen places at a
    /// time, the rest is compared.
    @inline(__always) func firstIndex(of text: StaticString, from: Int = 0) -> Int? {
        assert(from >= 0 && from <= count)
        return Self.find(ByteView(text), in: self, from)
    }

    @inline(never) private static func find(_ text: ByteView, in view: ByteView, _ from: Int) -> Int? {
        let first = text[0]
        let second = text[1]
        let end = view.count &- text.count
        var at = from
        while at <= end {
            if at &+ 17 <= view.count {
                let both = view.sixteen(at: at).equal(to: first) & view.sixteen(at: at &+ 1).equal(to: second)
                let step = both.first
                at &+= step
                if step == 16 { continue }
                if at > end { return nil }
            }
            if view[at] == first, memcmp(view.base + at, text.base, text.count) == 0 { return at }
            at &+= 1
        }
        return nil
    }

    /// The bytes without spaces and tabs around them.
    @inline(__always) func trimmed() -> ByteView {
        var from = 0
        var to = count
        while from < to, base[from] == 0x20 || base[from] == 0x09 { from += 1 }
        while to > from, base[to - 1] == 0x20 || base[to - 1] == 0x09 { to -= 1 }
        return slice(from, to)
    }

    /// A copy as an array.
    var array: [UInt8] { Array(UnsafeBufferPointer(start: base, count: count)) }

    /// A copy as text, broken UTF-8 repaired.
    var string: String { String(decoding: UnsafeBufferPointer(start: base, count: count), as: UTF8.self) }

    /// A hash of the bytes (FNV-1a over words, finished by a multiplication): for tables of our own making only.
    @inline(__always) var hash: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(truncatingIfNeeded: count)
        var index = 0
        while index &+ 8 <= count {
            let word = UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self)
            hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash &>> 32
            index &+= 8
        }
        while index < count {
            hash = (hash ^ UInt64(base[index])) &* 0x0000_0100_0000_01b3
            index &+= 1
        }
        hash = (hash ^ (hash &>> 29)) &* 0xbf58_476d_1ce4_e5b9
        return hash ^ (hash &>> 32)
    }
}

/// Sixteen bytes looked at as one. Comparisons give 0xff where they hold and 0 elsewhere. Written so that each is a
/// single machine instruction: the standard library's forms with scalars are loops over lanes.
typealias Sixteen = SIMD16<UInt8>

extension SIMD16<UInt8> {
    /// Where bytes are equal to one.
    @inline(__always) func equal(to byte: UInt8) -> Sixteen {
        unsafeBitCast(self .== Sixteen(repeating: byte), to: Sixteen.self)
    }

    /// Where bytes are below one.
    @inline(__always) func below(_ byte: UInt8) -> Sixteen {
        unsafeBitCast(self .< Sixteen(repeating: byte), to: Sixteen.self)
    }

    /// Where bytes are below one when both are signed numbers: those beyond ASCII are below all of ASCII.
    @inline(__always) func signedBelow(_ byte: Int8) -> Sixteen {
        unsafeBitCast(unsafeBitCast(self, to: SIMD16<Int8>.self) .< SIMD16<Int8>(repeating: byte), to: Sixteen.self)
    }

    /// The first byte that is not 0; 16 when all are.
    @inline(__always) var first: Int {
        let words = unsafeBitCast(self, to: SIMD2<UInt64>.self)
        if words[0] != 0 { return words[0].trailingZeroBitCount &>> 3 }
        return 8 &+ words[1].trailingZeroBitCount &>> 3
    }

    /// Whether a byte is not 0.
    @inline(__always) var isAny: Bool {
        let words = unsafeBitCast(self, to: SIMD2<UInt64>.self)
        return words[0] | words[1] != 0
    }
}
