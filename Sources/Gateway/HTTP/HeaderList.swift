/// Comma-separated field values (RFC 9110 §5.6.1).
enum HeaderList {
    /// Calls with each member, trimmed, empty ones left out.
    @inline(__always) static func each(_ value: ByteView, _ body: (ByteView) -> Void) {
        var start = 0
        while start <= value.count {
            let comma = value.firstIndex(of: 0x2c, from: start) ?? value.count
            let member = value.slice(start, comma).trimmed()
            if !member.isEmpty { body(member) }
            start = comma + 1
        }
    }

    /// Marks the fields that a `Connection` field names: they stop at this hop (RFC 9110 §7.6.1).
    ///
    /// Fields that carry the request's own meaning (`Host`, `Content-Length`, `Content-Type`) cannot be named away.
    static func markNamed(_ view: ByteView, _ table: HeaderTable, _ count: Int) {
        for index in 0..<count where table[index].name == .connection {
            each(table.value(index, in: view)) { option in
                for other in 0..<count where table.name(other, in: view).equalsIgnoringCase(option) {
                    switch table[other].name {
                    case .host, .contentLength, .contentType, .connection: break
                    default: table.fields[other].named = true
                    }
                }
            }
        }
    }
}
