/// A request as it was received.
struct HTTPRequest: Sendable {
    var method: String
    var target: String
    /// `1.0` or `1.1`.
    var version: String
    /// In order, with the names as they were written.
    var headers: [(name: String, value: String)]
    var body: [UInt8] = []
    var chunked = false

    /// The target without its query.
    var path: String { String(target.prefix { $0 != "?" }) }

    /// The first header of that name, given in lower case.
    subscript(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name }?.value
    }

    /// Whether the connection may be used again after the answer.
    var keepsAlive: Bool {
        let tokens = (self["connection"] ?? "").lowercased()
        return version == "1.1" ? !tokens.contains("close") : tokens.contains("keep-alive")
    }

    /// The head of a request, its final blank line left out; nil where it is none.
    init?(head: ArraySlice<UInt8>) {
        // Split on CR LF by bytes: as characters the two are one.
        let lines = head.split(separator: 0x0a, omittingEmptySubsequences: true).map { line in
            String(decoding: line.last == 0x0d ? line.dropLast() : line, as: UTF8.self)
        }
        guard let first = lines.first else { return nil }
        let parts = first.split(separator: " ").map(String.init)
        guard parts.count == 3, parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0" else { return nil }
        method = parts[0]
        target = parts[1]
        version = String(parts[2].dropFirst(5))
        headers = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return nil }
            let value = line[line.index(after: colon)...]
            headers.append(
                (String(line[..<colon]), String(value.drop { $0 == " " || $0 == "\t" }.trimmedEnd())))
        }
    }
}

extension Substring {
    fileprivate func trimmedEnd() -> Substring {
        var text = self
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
