@testable import Gateway

/// The field `model` of a form is found where the plain reading of RFC 7578 finds it, however the bytes are cut.
enum MultipartProperty {
    /// What the scanner says of a body in these pieces.
    struct Outcome: Equatable {
        var start: Int?
        var end: Int?
        var value: [UInt8]
        var isOver: Bool
    }

    static let boundary = Array("b".utf8)

    static func scan(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        var scanner = MultipartScanner("model", boundary: boundary)
        for piece in pieces { if withView(Array(piece), { scanner.feed($0) }) { break } }
        return Outcome(
            start: scanner.place?.start, end: scanner.place?.end, value: scanner.value, isOver: scanner.isOver)
    }

    static func check(_ bytes: [UInt8]) -> String? {
        let whole = scan([bytes[...]])
        for split in FuzzTarget.splits(bytes) {
            let cut = scan([bytes[..<split], bytes[split...]])
            if cut != whole { return "cut at \(split): \(cut), whole: \(whole)" }
        }
        if scan(bytes.indices.map { bytes[$0...$0] }) != whole { return "otherwise byte by byte" }
        let expected = read(bytes)
        if let first = expected.first {
            guard whole.start == first.lowerBound, whole.end == first.upperBound,
                whole.value.elementsEqual(bytes[first])
            else { return "found \(whole), is at \(first)" }
        } else if whole.start != nil {
            return "found \(whole), is nowhere"
        }
        let kept = withView(bytes) { Multipart.field("model", in: $0, boundary) }
        let one = expected.count == 1 ? expected.first : nil
        guard kept?.start == one?.lowerBound, kept?.end == one?.upperBound else {
            return "kept whole: \(String(describing: kept)), is \(expected)"
        }
        // The content type's own parameters.
        _ = withView(bytes) { Multipart.boundary(of: $0) }
        return nil
    }

    /// Where the values of all whole parts named `model` lie.
    private static func read(_ bytes: [UInt8]) -> [Range<Int>] {
        let mark = Array("\r\n--b".utf8)
        let body = [0x0d, 0x0a] + bytes
        var found: [Range<Int>] = []
        var parts = 0
        guard var at = find(mark, body, 0) else { return [] }
        while true {
            at += mark.count
            guard body.count >= at + 2, body[at] == 0x0d, body[at + 1] == 0x0a else { return found }
            parts += 1
            guard parts <= MultipartScanner.partLimit else { return found }
            guard let headEnd = find(Array("\r\n\r\n".utf8), body, at), headEnd + 4 - at <= MultipartScanner.limit
            else { return found }
            let start = headEnd + 4
            let end = find(mark, body, start)
            if isModel(Array(body[at..<headEnd])) {
                guard let end, end - start <= MultipartScanner.limit else { return found }
                found.append((start - 2)..<(end - 2))
            }
            guard let end else { return found }
            at = end
        }
    }

    private static func isModel(_ head: [UInt8]) -> Bool {
        let lines = split(head, Array("\r\n".utf8)).filter {
            NaiveHead.lowered($0).hasPrefix("content-disposition:")
        }
        guard lines.count == 1 else { return false }
        // Semicolons in quotes end no parameter.
        var parameters: [[UInt8]] = [[]]
        var isQuoted = false
        var isEscaped = false
        for byte in lines[0].dropFirst("content-disposition:".utf8.count) {
            if byte == 0x3b, !isQuoted {
                parameters.append([])
                continue
            }
            if byte == 0x22, !isEscaped { isQuoted.toggle() }
            isEscaped = isQuoted && byte == 0x5c && !isEscaped
            parameters[parameters.count - 1].append(byte)
        }
        func trimmed(_ bytes: [UInt8]) -> String {
            var text = bytes[...]
            while let byte = text.first, byte == 0x20 || byte == 0x09 { text.removeFirst() }
            while let byte = text.last, byte == 0x20 || byte == 0x09 { text.removeLast() }
            return String(decoding: text, as: UTF8.self)
        }
        guard NaiveHead.lowered(Array(trimmed(parameters[0]).utf8)) == "form-data" else { return false }
        let names = parameters.dropFirst().map(trimmed).filter { NaiveHead.lowered($0.utf8).hasPrefix("name=") }
        return names.count == 1 && ["\"model\"", "model"].contains(String(names[0].dropFirst(5)))
    }

    private static func split(_ bytes: [UInt8], _ mark: [UInt8]) -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var at = 0
        while let found = find(mark, bytes, at) {
            parts.append(Array(bytes[at..<found]))
            at = found + mark.count
        }
        return parts + [Array(bytes[at...])]
    }

    private static func find(_ mark: [UInt8], _ bytes: [UInt8], _ from: Int) -> Int? {
        guard bytes.count >= from + mark.count else { return nil }
        return (from...(bytes.count - mark.count)).first { bytes[$0..<($0 + mark.count)].elementsEqual(mark) }
    }
}
