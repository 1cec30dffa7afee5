/// `multipart/form-data` (RFC 7578), as far as finding one small field goes.
enum Multipart {
    /// The boundary that a content type names.
    static func boundary(of contentType: ByteView) -> [UInt8]? {
        var start = contentType.firstIndex(of: 0x3b).map { $0 + 1 } ?? contentType.count
        while start < contentType.count {
            let end = contentType.firstIndex(of: 0x3b, from: start) ?? contentType.count
            let parameter = contentType.slice(start, end).trimmed()
            start = end + 1
            guard parameter.count > 9, parameter.slice(0, 9).equalsIgnoringCase("boundary=") else { continue }
            var value = parameter.dropping(9).array
            if value.count >= 2, value.first == 0x22, value.last == 0x22 { value = Array(value[1..<(value.count - 1)]) }
            return value.isEmpty || value.count > 70 ? nil : value
        }
        return nil
    }

    /// What is said where the boundary is missing.
    static let boundaryMessage: StaticString = "The Content-Type has no usable boundary (RFC 7578, section 4.1)."

    /// Where the values of a field lie in a whole body.
    static func fields(_ name: String, in body: ByteView, _ boundary: [UInt8]) -> [ModelScanner.Place] {
        let delimiter = Array("--".utf8) + boundary
        var found: [ModelScanner.Place] = []
        var at = 0
        while let part = next(delimiter, in: body, from: at) {
            at = part + delimiter.count
            guard at + 2 <= body.count, body[at] == 0x0d, body[at + 1] == 0x0a else { break }
            guard let headEnd = body.firstIndex(of: "\r\n\r\n", from: at) else { break }
            let head = body.slice(at, headEnd + 2)
            let start = headEnd + 4
            guard let end = next([0x0d, 0x0a] + delimiter, in: body, from: start) else { break }
            if isNamed(name, head) { found.append(ModelScanner.Place(start: start, end: end, hasEscapes: false)) }
            at = end + 2
        }
        return found
    }

    private static func next(_ needle: [UInt8], in body: ByteView, from: Int) -> Int? {
        var at = from
        while at + needle.count <= body.count, let candidate = body.firstIndex(of: needle[0], from: at) {
            guard candidate + needle.count <= body.count else { return nil }
            let matches = needle.withUnsafeBufferPointer {
                body.slice(candidate, candidate + needle.count).equals(ByteView($0.baseAddress!, needle.count))
            }
            if matches { return candidate }
            at = candidate + 1
        }
        return nil
    }

    /// Whether a part's head names it so.
    static func isNamed(_ name: String, _ head: ByteView) -> Bool {
        for line in head.string.split(whereSeparator: { $0.isNewline }) {
            let lowered = line.lowercased()
            guard lowered.hasPrefix("content-disposition:"), lowered.contains("form-data") else { continue }
            for parameter in line.split(separator: ";").dropFirst() {
                let text = parameter.drop { $0 == " " || $0 == "\t" }
                if text == "name=\"\(name)\"" || text == "name=\(name)" { return true }
            }
        }
        return false
    }
}
