/// Percent-encoding (RFC 3986 §2.1).
enum PercentCoding {
    /// The decoded text; a broken escape stays as it is.
    static func decode(_ view: ByteView) -> String {
        var out: [UInt8] = []
        var at = 0
        while at < view.count {
            if view[at] == 0x25, at + 2 < view.count, let high = ASCII.hexValue(view[at + 1]),
                let low = ASCII.hexValue(view[at + 2])
            {
                out.append(high << 4 | low)
                at += 3
            } else {
                out.append(view[at])
                at += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
