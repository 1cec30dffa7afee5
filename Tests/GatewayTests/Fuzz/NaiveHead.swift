/// RFC 9112's grammar for a head, read the plain way: lines, then fields, each byte against its class.
struct NaiveHead {
    var start: [UInt8]
    /// Names in lower case, values without the white space around them, and each line as it came.
    var fields: [(name: String, value: [UInt8], line: [UInt8])]
    var length: Int

    private static let token = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    static func isToken(_ bytes: some Collection<UInt8>) -> Bool { !bytes.isEmpty && bytes.allSatisfy(token.contains) }

    /// The head at the beginning of these bytes; nil where there is none that is whole and right.
    init?(_ bytes: [UInt8], limit: Int) {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var end: Int?
        for (index, byte) in bytes.enumerated() {
            guard byte == 0x0a else {
                line.append(byte)
                continue
            }
            guard line.popLast() == 0x0d, !line.contains(0x0d) else { return nil }
            if line.isEmpty, !lines.isEmpty {
                end = index + 1
                break
            }
            lines.append(line)
            line = []
        }
        guard let end, end <= limit, let first = lines.first, lines.count <= 129 else { return nil }
        start = first
        length = end
        fields = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: 0x3a), Self.isToken(line[..<colon]) else { return nil }
            var value = line[(colon + 1)...]
            while let byte = value.first, byte == 0x20 || byte == 0x09 { value.removeFirst() }
            while let byte = value.last, byte == 0x20 || byte == 0x09 { value.removeLast() }
            guard value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }) else { return nil }
            fields.append((Self.lowered(line[..<colon]), Array(value), line))
        }
    }

    /// The values of all fields of a name.
    func values(_ name: String) -> [[UInt8]] { fields.filter { $0.name == name }.map(\.value) }

    /// The options that `Connection` fields list, in lower case.
    var options: Set<String> {
        Set(values("connection").flatMap { $0.split(separator: 0x2c) }.map { Self.lowered($0).trimmingBlanks() })
    }

    /// The names of fields that stop here because `Connection` says so (RFC 9110 §7.6.1), but for those that say what
    /// the message itself is. A field `Close` is nobody's, and stops or not.
    var named: Set<String> {
        let options = options
        guard !options.subtracting(["close", "keep-alive"]).isEmpty else { return [] }
        return options.subtracting(["content-type", "host", "content-length", "connection"])
    }

    /// Whether a name has these letters in front of others.
    static func begins(_ name: String, _ prefix: String) -> Bool { name.hasPrefix(prefix) && name != prefix }

    /// ASCII's letters in lower case, all else as it is.
    static func lowered(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: bytes.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// A body's length by these values; nil where it is no single number of at most 18 digits.
    static func number(_ values: [[UInt8]]) -> Int? {
        guard values.count == 1, (1...18).contains(values[0].count), values[0].allSatisfy({ $0 &- 0x30 < 10 })
        else { return nil }
        return Int(String(decoding: values[0], as: UTF8.self))
    }

    /// Whether these values are exactly one `chunked`, in any case.
    static func isChunked(_ values: [[UInt8]]) -> Bool {
        values.count == 1 && lowered(values[0]) == "chunked"
    }
}

extension String {
    /// The text without spaces and tabs around it.
    fileprivate func trimmingBlanks() -> String {
        var text = Substring(self)
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
