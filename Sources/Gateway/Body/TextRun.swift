import CLinux

/// How far the inside of a JSON string reaches: the part of ``ModelScanner`` that long prompts are made of.
///
/// It only passes over what the careful way, byte by byte, takes as well, and stops before everything else: the closing
/// quote, a control character, anything wrong, and what has not come whole.
enum TextRun {
    /// The end of the run of plain ASCII string bytes from `start`: no control, no quote, no backslash.
    @inline(__always) static func plain(_ view: ByteView, _ start: Int) -> Int {
        var at = start
        while at &+ 16 <= view.count {
            let odd = stoker_odd_of_sixteen(view.base + at)
            if odd != 0 { return at &+ odd.trailingZeroBitCount }
            at &+= 16
        }
        while at < view.count, isPlain(view[at]) { at &+= 1 }
        return at
    }

    /// The end of the run of whole characters from `start`, escaped ones and those beyond ASCII among them; notes
    /// whether any was escaped.
    @inline(__always) static func text(_ view: ByteView, _ start: Int, _ hasEscapes: inout Bool) -> Int {
        // Most strings are words: a look at sixteen bytes tells.
        if start &+ 16 <= view.count {
            let odd = stoker_odd_of_sixteen(view.base + start)
            if odd != 0, view[start &+ odd.trailingZeroBitCount] == 0x22 { return start &+ odd.trailingZeroBitCount }
        }
        return long(view, start, &hasEscapes)
    }

    @inline(never) private static func long(_ view: ByteView, _ start: Int, _ hasEscapes: inout Bool) -> Int {
        var at = start
        blocks: while at &+ 64 <= view.count {
            var odd = stoker_odd_of_text(view.base + at)
            while odd != 0 {
                let bit = odd.trailingZeroBitCount
                let length = character(view, at &+ bit, &hasEscapes)
                if length == 0 { return at &+ bit }
                // What belongs to this character is not looked at again.
                let next = bit &+ length
                if next >= 64 {
                    at &+= next
                    continue blocks
                }
                odd &= ~0 &<< UInt64(truncatingIfNeeded: next)
            }
            at &+= 64
        }
        while true {
            at = plain(view, at)
            if at == view.count { return at }
            let length = character(view, at, &hasEscapes)
            if length == 0 { return at }
            at &+= length
        }
    }

    /// The length of the character at `at`, which is no plain one; 0 where the run ends.
    @inline(__always) private static func character(_ view: ByteView, _ at: Int, _ hasEscapes: inout Bool) -> Int {
        if view[at] != 0x5c { return letter(view, at) }
        guard at &+ 1 < view.count else { return 0 }
        switch view[at &+ 1] {
        case 0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74:
            hasEscapes = true
            return 2
        case 0x75:
            guard at &+ 6 <= view.count else { return 0 }
            for index in (at &+ 2)..<(at &+ 6) where ASCII.hexValue(view[index]) == nil { return 0 }
            hasEscapes = true
            return 6
        default: return 0
        }
    }

    @inline(__always) private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != 0x22 && byte != 0x5c
    }

    /// How many bytes the letter at `at` has that is no ASCII, when it is right and lies whole in these bytes; else 0.
    @inline(__always) static func letter(_ view: ByteView, _ at: Int) -> Int {
        guard at &+ 4 <= view.count else { return 0 }
        let word = UInt32(littleEndian: UnsafeRawPointer(view.base + at).loadUnaligned(as: UInt32.self))
        if word & 0xc0e0 == 0x80c0 {
            // U+0080 and up: the first five bits are more than one.
            return word & 0x1e != 0 ? 2 : 0
        }
        if word & 0xc0c0f0 == 0x8080e0 {
            // U+0800 and up, surrogates left out.
            let top = (word & 0xf) &<< 1 | (word &>> 13) & 1
            return top != 0 && top != 0x1b ? 3 : 0
        }
        if word & 0xc0c0_c0f8 == 0x8080_80f0 {
            // U+10000 to U+10FFFF.
            let plane = (word & 7) &<< 2 | (word &>> 12) & 3
            return plane != 0 && plane <= 0x10 ? 4 : 0
        }
        return 0
    }
}
