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

    /// Where a field's value lies in a whole body; nil when there is none, or two.
    static func field(_ name: String, in body: ByteView, _ boundary: [UInt8]) -> ModelScanner.Place? {
        var scanner = MultipartScanner(name, boundary: boundary)
        _ = scanner.feed(body)
        guard let place = scanner.place else { return nil }
        scanner.goOn()
        _ = scanner.feed(body.dropping(place.end))
        return scanner.place == nil ? ModelScanner.Place(start: place.start, end: place.end, hasEscapes: false) : nil
    }

    /// Whether a part's head names it so: by one `Content-Disposition: form-data` with one `name`.
    ///
    /// Read as servers read it: lines end in CR LF only, and a semicolon in quotes ends no parameter, or a file's name
    /// could make its part another one here than there. Nobody has looked for control characters in these bytes, so
    /// they are compared exactly.
    static func isNamed(_ name: String, _ head: ByteView) -> Bool {
        var disposition: ByteView?
        var start = 0
        while start < head.count {
            let end = head.firstIndex(of: "\r\n", from: start) ?? head.count
            let line = head.slice(start, end)
            start = end + 2
            guard line.count >= 20, line.slice(0, 20).equalsIgnoringCase(ByteView("content-disposition:")) else {
                continue
            }
            guard disposition == nil else { return false }
            disposition = line.dropping(20)
        }
        guard let disposition else { return false }
        var names = 0
        var isWanted = false
        var position = 0
        var at = 0
        while at <= disposition.count {
            let end = endOfParameter(disposition, at)
            let parameter = disposition.slice(at, end).trimmed()
            at = end + 1
            defer { position += 1 }
            if position == 0 {
                guard parameter.equalsIgnoringCase(ByteView("form-data")) else { return false }
            } else if parameter.count >= 5, parameter.slice(0, 5).equalsIgnoringCase(ByteView("name=")) {
                names += 1
                isWanted = isSame(parameter.dropping(5), name)
            }
        }
        return names == 1 && isWanted
    }

    /// The place of the semicolon that ends a parameter, or the end.
    private static func endOfParameter(_ view: ByteView, _ start: Int) -> Int {
        var isQuoted = false
        var isEscaped = false
        for index in start..<view.count {
            let byte = view[index]
            if byte == 0x3b, !isQuoted { return index }
            if byte == 0x22, !isEscaped { isQuoted.toggle() }
            isEscaped = isQuoted && byte == 0x5c && !isEscaped
        }
        return view.count
    }

    /// Whether a parameter's value is this name, in quotes or not.
    private static func isSame(_ value: ByteView, _ name: String) -> Bool {
        var value = value
        let last = value.count - 1
        if last > 0, value[0] == 0x22, value[last] == 0x22 { value = value.slice(1, last) }
        return value.count == name.utf8.count && value.array.elementsEqual(name.utf8)
    }
}
