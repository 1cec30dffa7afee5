/// Reads a server's response head in place. A server is trusted more than a client, but not with framing: whatever
/// makes the body's end ambiguous is refused, so that two parties never see two different responses.
enum ResponseHeadParser {
    /// The most bytes of a response's head.
    static let limit = 48 << 10

    /// What the bytes are.
    enum Outcome {
        /// More bytes are needed.
        case incomplete
        /// A whole head.
        case complete(ResponseHead)
        /// Nonsense.
        case bad(HeadFailure)
    }

    /// Reads the head at the beginning of `view`. `toHead` says that the request was HEAD, whose response has no body.
    static func parse(_ view: ByteView, into table: HeaderTable, toHead: Bool) -> Outcome {
        var head = ResponseHead()
        guard let firstEnd = view.firstIndex(of: 0x0a) else {
            if view.count > limit { return .bad(.tooLarge) }
            let known = min(view.count, 7)
            return view.slice(0, known).equals(ByteView("HTTP/1.").slice(0, known)) ? .incomplete : .bad(.startLine)
        }
        guard firstEnd >= 13, view[firstEnd - 1] == 0x0d else { return .bad(.startLine) }
        guard view.hasPrefix("HTTP/1.1 ") || view.hasPrefix("HTTP/1.0 ") else { return .bad(.startLine) }
        let isVersion10 = view[7] == 0x30
        guard let status = RequestHeadParser.decimal(view.slice(9, 12)), status >= 100, status < 600 else {
            return .bad(.startLine)
        }
        guard view[12] == 0x20 || firstEnd == 13 else { return .bad(.startLine) }
        guard ASCII.isFieldValue(view.slice(12, firstEnd - 1)) else { return .bad(.startLine) }
        head.status = status
        head.fieldsStart = firstEnd + 1
        head.closes = isVersion10
        var at = firstEnd + 1
        var chunked = false
        var names = false
        while true {
            if at + 2 <= view.count, view[at] == 0x0d, view[at + 1] == 0x0a, at + 1 <= limit {
                head.length = at + 2
                break
            }
            if head.fieldCount < HeaderTable.capacity, let line = FieldLine(view, from: at), line.end + 1 <= limit {
                let name = HeaderName.of(view.slice(at, line.colon))
                table.fields[head.fieldCount] = HeaderField(line, from: at, name: name)
                head.fieldCount &+= 1
                let value = view.slice(line.valueStart, line.valueEnd)
                if name != .other, let failure = note(name, value, &head, &chunked, &names) { return .bad(failure) }
                at = line.end + 2
                continue
            }
            guard let end = view.firstIndex(of: 0x0a, from: at) else {
                return view.count > limit ? .bad(.tooLarge) : .incomplete
            }
            if end > limit { return .bad(.tooLarge) }
            guard end > at, view[end - 1] == 0x0d else { return .bad(.lineEnd) }
            if end - 1 == at {
                head.length = end + 1
                break
            }
            if head.fieldCount == HeaderTable.capacity { return .bad(.tooLarge) }
            if let failure = field(view, at, end - 1, table, &head, &chunked, &names) { return .bad(failure) }
            at = end + 1
        }
        if names { HeaderList.markNamed(view, table, head.fieldCount) }
        return conclude(&head, chunked: chunked, isVersion10: isVersion10, toHead: toHead)
    }

    private static func field(
        _ view: ByteView, _ start: Int, _ end: Int, _ table: HeaderTable, _ head: inout ResponseHead,
        _ chunked: inout Bool, _ names: inout Bool
    ) -> HeadFailure? {
        var colon = start
        while colon < end, ASCII.isToken(view[colon]) { colon += 1 }
        guard colon > start, colon < end, view[colon] == 0x3a, colon - start <= Int(UInt16.max) else { return .field }
        let value = view.slice(colon + 1, end).trimmed()
        guard ASCII.isFieldValue(value) else { return .field }
        let name = HeaderName.of(view.slice(start, colon))
        table.fields[head.fieldCount] = HeaderField(
            nameStart: UInt32(start), nameLength: UInt16(colon - start), name: name, named: false,
            valueStart: UInt32(value.base - view.base), valueLength: UInt32(value.count), lineEnd: UInt32(end + 2))
        head.fieldCount += 1
        return note(name, value, &head, &chunked, &names)
    }

    /// What a known field means for the response.
    private static func note(
        _ name: HeaderName, _ value: ByteView, _ head: inout ResponseHead, _ chunked: inout Bool, _ names: inout Bool
    ) -> HeadFailure? {
        switch name {
        case .contentLength:
            guard head.contentLength < 0, let length = RequestHeadParser.decimal(value) else { return .framing }
            head.contentLength = length
        case .transferEncoding:
            guard !chunked, value.equalsIgnoringCase("chunked") else { return .transferEncoding }
            chunked = true
        case .connection:
            var closes = false
            var others = false
            HeaderList.each(value) { option in
                if option.equalsIgnoringCase("close") {
                    closes = true
                } else if !option.equalsIgnoringCase("keep-alive") {
                    others = true
                }
            }
            if closes { head.closes = true }
            if others { names = true }
        case .contentType:
            head.isEventStream = value.count >= 17 && value.slice(0, 17).equalsIgnoringCase("text/event-stream")
        default: break
        }
        return nil
    }

    private static func conclude(
        _ head: inout ResponseHead, chunked: Bool, isVersion10: Bool, toHead: Bool
    ) -> Outcome {
        if chunked, head.contentLength >= 0 || isVersion10 { return .bad(.framing) }
        if head.status < 200 || head.status == 204 || head.status == 304 || toHead {
            head.bodyEnd = .none
        } else if chunked {
            head.bodyEnd = .chunked
        } else if head.contentLength >= 0 {
            head.bodyEnd = head.contentLength == 0 ? .none : .length
        } else {
            head.bodyEnd = .close
            head.closes = true
        }
        return .complete(head)
    }
}
