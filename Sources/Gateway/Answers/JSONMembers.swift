/// The members of a JSON object's top level, as slices of its text: for cards whose fields are kept as they came.
enum JSONMembers {
    /// Keys, unescaped, with their values' bytes; nil when the text is no JSON object.
    static func split(_ text: [UInt8]) -> [(key: String, value: [UInt8])]? {
        text.withUnsafeBufferPointer { bytes -> [(key: String, value: [UInt8])]? in
            guard let base = bytes.baseAddress else { return nil }
            let view = ByteView(base, bytes.count)
            var scanner = ModelScanner()
            scanner.feed(view)
            guard scanner.finish() == nil else { return nil }
            return members(view)
        }
    }

    /// The members of a checked object.
    private static func members(_ view: ByteView) -> [(key: String, value: [UInt8])] {
        var found: [(key: String, value: [UInt8])] = []
        var at = view.firstIndex(of: 0x7b)! + 1
        while true {
            at = skip(view, at)
            if view[at] == 0x2c { at = skip(view, at + 1) }
            if view[at] == 0x7d { return found }
            let keyEnd = stringEnd(view, at)
            let inner = view.slice(at + 1, keyEnd - 1)
            let key = [UInt8](unsafeUninitializedCapacity: inner.count * 3 + 1) { buffer, count in
                count = JSONString.unescape(inner, into: buffer.baseAddress!)
            }
            at = skip(view, skip(view, keyEnd) + 1)
            let end = valueEnd(view, at)
            found.append((String(decoding: key, as: UTF8.self), view.slice(at, end).array))
            at = end
        }
    }

    private static func skip(_ view: ByteView, _ start: Int) -> Int {
        var at = start
        while view[at] == 0x20 || view[at] == 0x0a || view[at] == 0x0d || view[at] == 0x09 { at += 1 }
        return at
    }

    private static func stringEnd(_ view: ByteView, _ start: Int) -> Int {
        var at = start + 1
        while view[at] != 0x22 { at += view[at] == 0x5c ? 2 : 1 }
        return at + 1
    }

    private static func valueEnd(_ view: ByteView, _ start: Int) -> Int {
        var at = start
        var depth = 0
        while true {
            switch view[at] {
            case 0x22:
                at = stringEnd(view, at)
                if depth == 0 { return at }
                continue
            case 0x7b, 0x5b: depth += 1
            case 0x7d, 0x5d:
                if depth == 0 { return at }
                depth -= 1
                if depth == 0 { return at + 1 }
            case 0x2c, 0x20, 0x0a, 0x0d, 0x09: if depth == 0 { return at }
            default: break
            }
            at += 1
        }
    }
}
