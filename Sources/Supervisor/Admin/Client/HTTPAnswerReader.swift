/// Reads one HTTP/1.1 response from bytes as they come: a value, without a socket.
struct HTTPAnswerReader: Sendable {
    /// The status line's number; nil until the head is whole.
    private(set) var status: Int?
    /// Header fields, names in lower case; of several the last one.
    private(set) var headers: [String: String] = [:]
    /// Whether the body is whole.
    private(set) var isComplete = false

    private var buffer: [UInt8] = []
    private var framing = Framing.head

    private enum Framing: Sendable {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailers
        case untilClose
    }

    /// The bytes are no HTTP response.
    struct Malformed: Error, Sendable {}

    /// Takes bytes and returns what of the body is in them.
    mutating func append(_ bytes: some Sequence<UInt8>) throws(Malformed) -> [UInt8] {
        buffer.append(contentsOf: bytes)
        var body: [UInt8] = []
        while !isComplete {
            switch framing {
            case .head:
                guard let head = try takeHead() else { return body }
                try read(head)
            case .length(let left):
                guard left > 0 else {
                    isComplete = true
                    break
                }
                guard !buffer.isEmpty else { return body }
                let part = take(min(left, buffer.count))
                body += part
                framing = .length(left - part.count)
            case .chunkSize:
                guard let line = takeLine() else { return body }
                guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0 else { throw Malformed() }
                framing = size == 0 ? .trailers : .chunk(size)
            case .chunk(let left):
                guard !buffer.isEmpty else { return body }
                let part = take(min(left, buffer.count))
                body += part
                framing = part.count == left ? .chunkEnd : .chunk(left - part.count)
            case .chunkEnd:
                guard let line = takeLine() else { return body }
                guard line.isEmpty else { throw Malformed() }
                framing = .chunkSize
            case .trailers:
                guard let line = takeLine() else { return body }
                if line.isEmpty { isComplete = true }
            case .untilClose:
                guard !buffer.isEmpty else { return body }
                body += take(buffer.count)
            }
        }
        return body
    }

    /// The peer has closed; true when the body was whole by then.
    mutating func end() -> Bool {
        if case .untilClose = framing { isComplete = true }
        return isComplete
    }

    private mutating func read(_ lines: [String]) throws(Malformed) {
        let words = lines[0].split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let code = Int(words[1]) else { throw Malformed() }
        if (100..<200).contains(code) { return }
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw Malformed() }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingSpaces
        }
        status = code
        if headers["transfer-encoding"]?.lowercased() == "chunked" {
            framing = .chunkSize
        } else if code == 204 || code == 304 {
            framing = .length(0)
        } else if let length = headers["content-length"] {
            guard let length = Int(length), length >= 0 else { throw Malformed() }
            framing = .length(length)
        } else {
            framing = .untilClose
        }
    }

    private mutating func takeHead() throws(Malformed) -> [String]? {
        let end = [13, 10, 13, 10] as [UInt8]
        guard buffer.count < 1 << 20 else { throw Malformed() }
        guard buffer.count >= 4,
            let place = (0...(buffer.count - 4)).first(where: { buffer[$0..<($0 + 4)].elementsEqual(end) })
        else { return nil }
        let text = String(decoding: take(place + 4).dropLast(4), as: UTF8.self)
        return text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    }

    private mutating func takeLine() -> String? {
        guard let end = buffer.firstIndex(of: 10) else { return nil }
        var line = take(end + 1).dropLast()
        if line.last == 13 { line = line.dropLast() }
        return String(decoding: line, as: UTF8.self)
    }

    private mutating func take(_ count: Int) -> [UInt8] {
        let part = Array(buffer[..<count])
        buffer.removeFirst(count)
        return part
    }
}
