/// Log lines without what only a terminal wants.
enum LogText {
    /// The line without escape sequences and control characters; of several that a progress bar wrote over each other, the last.
    static func plain(_ line: String) -> String {
        var bytes: [UInt8] = []
        var inEscape = false
        for byte in line.utf8 {
            if inEscape {
                if UInt8(ascii: "@")...UInt8(ascii: "~") ~= byte, byte != UInt8(ascii: "[") { inEscape = false }
            } else if byte == 0x1b {
                inEscape = true
            } else if byte == 0x0d {
                if !bytes.isEmpty { bytes.append(byte) }
            } else if byte >= 0x20 && byte != 0x7f || byte == 0x09 {
                bytes.append(byte)
            }
        }
        while bytes.last == 0x0d || bytes.last == 0x20 { bytes.removeLast() }
        if let overwritten = bytes.lastIndex(of: 0x0d) { bytes.removeFirst(overwritten + 1) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The message after vLLM's own prefixes, indentation kept:
    /// `(EngineCore pid=1) ERROR 11-22 09:54:15 [core.py:133] ValueError: …` → `ValueError: …`
    static func message(of line: String) -> Substring {
        var rest = Substring(line)
        if rest.hasPrefix("("), let close = rest.firstIndex(of: ")"), rest[..<close].contains("pid=") {
            rest = rest[rest.index(after: close)...]
            if rest.hasPrefix(" ") { rest = rest.dropFirst() }
        }
        let levels = ["ERROR ", "INFO ", "WARNING ", "CRITICAL ", "DEBUG "]
        if levels.contains(where: { rest.hasPrefix($0) }), let bracket = rest.firstIndex(of: "["),
            let close = rest[bracket...].firstIndex(of: "]")
        {
            rest = rest[rest.index(after: close)...]
            if rest.hasPrefix(" ") { rest = rest.dropFirst() }
        }
        return rest
    }
}
