/// Reads a request's head in place, strictly by RFC 9112: bytes in, offsets out, nothing allocated, nothing repaired.
///
/// It is a function of the bytes: when they end too early it says so and is called again with more.
enum RequestHeadParser {
    /// What the bytes are.
    enum Outcome {
        /// More bytes are needed.
        case incomplete
        /// A whole head.
        case complete(RequestHead)
        /// Never a head, whatever follows.
        case bad(HeadFailure)
    }

    /// Reads the head at the beginning of `view`; `limit` is the most bytes it may have.
    static func parse(_ view: ByteView, into table: HeaderTable, limit: Int) -> Outcome {
        var head = RequestHead()
        guard let firstEnd = view.firstIndex(of: 0x0a) else {
            if view.count > limit { return .bad(.tooLarge) }
            return plausibleStart(view) ? .incomplete : .bad(.startLine)
        }
        if firstEnd + 1 > limit { return .bad(.tooLarge) }
        guard firstEnd > 0, view[firstEnd - 1] == 0x0d else { return .bad(.lineEnd) }
        if let failure = startLine(view.slice(0, firstEnd - 1), &head) { return .bad(failure) }
        var at = firstEnd + 1
        var state = FieldState()
        while true {
            if at + 2 <= view.count, view[at] == 0x0d, view[at + 1] == 0x0a, at + 2 <= limit {
                head.length = at + 2
                break
            }
            if head.fieldCount < HeaderTable.capacity, let line = FieldLine(view, from: at), line.end + 2 <= limit {
                if let failure = take(line, view, at, table, &head, &state) { return .bad(failure) }
                at = line.end + 2
                continue
            }
            guard let end = view.firstIndex(of: 0x0a, from: at) else {
                return view.count > limit ? .bad(.tooLarge) : .incomplete
            }
            if end + 1 > limit { return .bad(.tooLarge) }
            guard end > at, view[end - 1] == 0x0d else { return .bad(.lineEnd) }
            if end - 1 == at {
                head.length = end + 1
                break
            }
            if head.fieldCount == HeaderTable.capacity { return .bad(.tooLarge) }
            if let failure = field(view, at, end - 1, table, &head, &state) { return .bad(failure) }
            at = end + 1
        }
        return conclude(view, table, &head, state)
    }

    /// What is remembered between fields.
    private struct FieldState {
        var transferEncoding = false
        var connectionKeepsAlive = false
        var connectionNames = false
    }

    /// Whether bytes without a line feed can still become a request line: keeps garbage from waiting for its time-out.
    private static func plausibleStart(_ view: ByteView) -> Bool {
        for index in 0..<min(view.count, 16) {
            let byte = view[index]
            if byte == 0x20 { return index > 0 }
            if !ASCII.isToken(byte) { return false }
        }
        return true
    }

    /// `method SP request-target SP HTTP-version` (RFC 9112 §3), exactly one space each.
    private static func startLine(_ line: ByteView, _ head: inout RequestHead) -> HeadFailure? {
        let space: Int
        if line.hasPrefix("POST ") {
            space = 4
            head.method = .post
        } else {
            guard let found = line.firstIndex(of: 0x20), found > 0, found <= 32 else { return .startLine }
            for index in 0..<found where !ASCII.isToken(line[index]) { return .startLine }
            space = found
            head.method = Method.of(line.slice(0, space))
        }
        head.methodLength = space
        guard line.count >= space + 11 else { return .startLine }
        let version = line.slice(line.count - 8, line.count)
        guard line[line.count - 9] == 0x20 else { return .startLine }
        guard version.hasPrefix("HTTP/") else { return .startLine }
        if version.equals("HTTP/1.0") {
            head.isVersion10 = true
        } else if !version.equals("HTTP/1.1") {
            return .version
        }
        return target(line, space + 1, line.count - 9, &head)
    }

    /// Origin-form, or absolute-form with `http` (RFC 9112 §3.2); the others belong to methods that no route has.
    private static func target(_ line: ByteView, _ start: Int, _ end: Int, _ head: inout RequestHead) -> HeadFailure? {
        var start = start
        if line[start] != 0x2f {
            let target = line.slice(start, end)
            if target.equals("*"), head.method == .options {
                head.pathStart = start
                head.pathLength = 1
                return nil
            }
            guard target.count > 7, target.slice(0, 7).equalsIgnoringCase("http://") else { return .target }
            // The comparison takes some control characters for others.
            for index in 0..<7 where !ASCII.isTarget(target[index]) { return .target }
            guard let slash = target.firstIndex(of: 0x2f, from: 7), slash > 7 else { return .target }
            for index in 7..<slash where !ASCII.isHost(target[index]) { return .target }
            start += slash
        }
        var query = end
        var plain = start
        while plain < end, ASCII.isPath(line[plain]) { plain &+= 1 }
        for index in plain..<end {
            let byte = line[index]
            if byte == 0x3f, query == end { query = index }
            // A backslash is let through as far as the path's own rule, which names it.
            if !ASCII.isTarget(byte), byte != 0x5c { return .target }
        }
        head.pathStart = start
        head.pathLength = query - start
        head.queryLength = end - query
        return nil
    }

    /// Notes a line of the ordinary kind.
    @inline(__always) private static func take(
        _ line: FieldLine, _ view: ByteView, _ start: Int, _ table: HeaderTable, _ head: inout RequestHead,
        _ state: inout FieldState
    ) -> HeadFailure? {
        let name = HeaderName.of(view.slice(start, line.colon))
        let index = head.fieldCount
        table.fields[index] = HeaderField(line, from: start, name: name)
        head.fieldCount = index &+ 1
        if name == .other { return nil }
        return note(name, view.slice(line.valueStart, line.valueEnd), index, &head, &state)
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112 §5): no space before the colon, no folding.
    private static func field(
        _ view: ByteView, _ start: Int, _ end: Int, _ table: HeaderTable, _ head: inout RequestHead,
        _ state: inout FieldState
    ) -> HeadFailure? {
        var colon = start
        while colon < end, ASCII.isToken(view[colon]) { colon += 1 }
        guard colon > start, colon < end, view[colon] == 0x3a, colon - start <= Int(UInt16.max) else { return .field }
        let value = view.slice(colon + 1, end).trimmed()
        guard ASCII.isFieldValue(value) else {
            return value.firstIndex(of: 0x0d) != nil ? .lineEnd : .field
        }
        let name = HeaderName.of(view.slice(start, colon))
        let index = head.fieldCount
        table.fields[index] = HeaderField(
            nameStart: UInt32(start), nameLength: UInt16(colon - start), name: name, named: false,
            valueStart: UInt32(value.base - view.base), valueLength: UInt32(value.count), lineEnd: UInt32(end + 2))
        head.fieldCount = index + 1
        return name == .other ? nil : note(name, value, index, &head, &state)
    }

    /// What a known field means for the request.
    private static func note(
        _ name: HeaderName, _ value: ByteView, _ index: Int, _ head: inout RequestHead, _ state: inout FieldState
    ) -> HeadFailure? {
        switch name {
        case .host:
            guard head.host < 0 else { return .host }
            for position in 0..<value.count where !ASCII.isHost(value[position]) { return .host }
            head.host = index
        case .contentLength:
            guard head.contentLength < 0, let length = decimal(value) else { return .framing }
            head.contentLength = length
        case .transferEncoding:
            guard !state.transferEncoding else { return .framing }
            guard value.equalsIgnoringCase("chunked") else { return .transferEncoding }
            state.transferEncoding = true
        case .connection: connection(value, &head, &state)
        case .contentType:
            guard head.contentType < 0 else { return .field }
            head.contentType = index
        case .contentEncoding: if !value.equalsIgnoringCase("identity"), !value.isEmpty { head.isEncoded = true }
        case .expect:
            if value.equalsIgnoringCase("100-continue") {
                head.expectsContinue = true
            } else {
                head.expectsUnknown = true
            }
        case .upgrade: head.upgrades = true
        case .authorization:
            if head.authorization >= 0 { head.hasDuplicateCredentials = true }
            head.authorization = index
        case .apiKey:
            if head.apiKey >= 0 { head.hasDuplicateCredentials = true }
            head.apiKey = index
        case .requestID: head.requestID = index
        case .origin: head.origin = index
        case .anthropicVersion: head.isAnthropic = true
        default: break
        }
        return nil
    }

    /// `Connection` options: `close`, `keep-alive`, and names of fields that stop here.
    private static func connection(_ value: ByteView, _ head: inout RequestHead, _ state: inout FieldState) {
        HeaderList.each(value) { option in
            if option.equalsIgnoringCase("close") {
                head.closes = true
            } else if option.equalsIgnoringCase("keep-alive") {
                state.connectionKeepsAlive = true
            } else {
                state.connectionNames = true
            }
        }
    }

    /// What only the whole head can tell.
    private static func conclude(
        _ view: ByteView, _ table: HeaderTable, _ head: inout RequestHead, _ state: FieldState
    ) -> Outcome {
        if state.transferEncoding {
            // RFC 9112 §6.1: HTTP/1.0 has no transfer codings, and both lengths together are an attack.
            guard head.contentLength < 0, !head.isVersion10 else { return .bad(.framing) }
            head.isChunked = true
        }
        if head.host < 0, !head.isVersion10 { return .bad(.host) }
        // De-chunked bodies for HTTP/1.0 have no other end than the connection's.
        if head.isVersion10 { head.closes = true }
        if state.connectionNames { HeaderList.markNamed(view, table, head.fieldCount) }
        return .complete(head)
    }

    /// A number of one to eighteen digits and nothing else.
    static func decimal(_ value: ByteView) -> Int? {
        guard value.count >= 1, value.count <= 18 else { return nil }
        var number = 0
        for index in 0..<value.count {
            let digit = value[index] &- 0x30
            guard digit < 10 else { return nil }
            number = number &* 10 &+ Int(digit)
        }
        return number
    }
}
