/// A field line of the ordinary kind, found in one pass, sixteen bytes at a time: a name of token characters, a colon
/// right behind it, a value without control characters, CR LF.
///
/// It only ever says yes to what the careful way of ``RequestHeadParser`` and ``ResponseHeadParser`` takes as well. To
/// everything else (a tab, a line that has not come whole, anything wrong) it gives nil, and the careful way decides.
struct FieldLine {
    /// The colon's place.
    let colon: Int
    /// Where the value begins, spaces left out.
    let valueStart: Int
    /// Behind the value's last byte, spaces left out.
    let valueEnd: Int
    /// The carriage return's place.
    let end: Int

    /// The line that begins at `start`, if it is of the ordinary kind and whole.
    @inline(__always) init?(_ view: ByteView, from start: Int) {
        let colon = Self.endOfName(view, start)
        guard colon > start, colon < view.count, view[colon] == 0x3a, colon &- start <= Int(UInt16.max) else {
            return nil
        }
        var from = colon &+ 1
        while from < view.count, view[from] == 0x20 { from &+= 1 }
        let end = Self.endOfValue(view, from)
        guard end &+ 1 < view.count, view[end] == 0x0d, view[end &+ 1] == 0x0a else { return nil }
        var to = end
        while to > from, view[to &- 1] == 0x20 { to &-= 1 }
        self.colon = colon
        valueStart = from
        valueEnd = to
        self.end = end
    }

    /// The first place that holds no token character.
    @inline(__always) private static func endOfName(_ view: ByteView, _ start: Int) -> Int {
        var at = start
        while at &+ 16 <= view.count {
            // Letters and hyphens are nearly all that names are made of.
            let bytes = view.sixteen(at: at)
            let lowered = (bytes | Sixteen(repeating: 0x20)) &- Sixteen(repeating: 0x61)
            let step = (~(lowered.below(26) | bytes.equal(to: 0x2d))).first
            at &+= step
            if step < 16 { break }
        }
        while at < view.count, ASCII.isToken(view[at]) { at &+= 1 }
        return at
    }

    /// The first place that holds a control character, a tab among them.
    @inline(__always) private static func endOfValue(_ view: ByteView, _ start: Int) -> Int {
        var at = start
        while at &+ 16 <= view.count {
            let bytes = view.sixteen(at: at)
            let step = (bytes.below(0x20) | bytes.equal(to: 0x7f)).first
            at &+= step
            if step < 16 { return at }
        }
        while at < view.count, view[at] >= 0x20, view[at] != 0x7f { at &+= 1 }
        return at
    }
}
