/// The field names that the gateway itself looks at, or stops.
enum HeaderName: UInt8 {
    /// Any other field: passed on as it came.
    case other
    case host, contentLength, transferEncoding, connection, contentType, contentEncoding, expect, upgrade
    case authorization, apiKey, requestID, origin, anthropicVersion, instance
    case keepAlive, te, trailer, cookie, forwarded, acceptEncoding, proxy, forwardedX, acceptRanges
    case retryAfter

    /// The name in any case: by its length and first letter there are at most two that it can be.
    @inline(__always) static func of(_ name: ByteView) -> HeaderName {
        let first = name.base[0] | 0x20
        switch (name.count, first) {
        case (2, 0x74): return name.equalsIgnoringCase("te") ? .te : .other
        case (4, 0x68): return name.equalsIgnoringCase("host") ? .host : .other
        case (6, 0x65): return name.equalsIgnoringCase("expect") ? .expect : .other
        case (6, 0x63): return name.equalsIgnoringCase("cookie") ? .cookie : .other
        case (6, 0x6f): return name.equalsIgnoringCase("origin") ? .origin : .other
        case (7, 0x75): return name.equalsIgnoringCase("upgrade") ? .upgrade : .other
        case (7, 0x74): return name.equalsIgnoringCase("trailer") ? .trailer : .other
        case (9, 0x78): return name.equalsIgnoringCase("x-api-key") ? .apiKey : .other
        case (9, 0x66): return name.equalsIgnoringCase("forwarded") ? .forwarded : .other
        case (10, 0x63): return name.equalsIgnoringCase("connection") ? .connection : .other
        case (10, 0x6b): return name.equalsIgnoringCase("keep-alive") ? .keepAlive : .other
        case (11, 0x72): return name.equalsIgnoringCase("retry-after") ? .retryAfter : .other
        case (12, 0x63): return name.equalsIgnoringCase("content-type") ? .contentType : .other
        case (12, 0x78): return name.equalsIgnoringCase("x-request-id") ? .requestID : .other
        case (13, 0x61): return name.equalsIgnoringCase("authorization") ? .authorization : .other
        case (14, 0x63): return name.equalsIgnoringCase("content-length") ? .contentLength : .other
        case (15, 0x61): return name.equalsIgnoringCase("accept-encoding") ? .acceptEncoding : .other
        case (16, 0x63): return name.equalsIgnoringCase("content-encoding") ? .contentEncoding : .other
        case (17, 0x74): return name.equalsIgnoringCase("transfer-encoding") ? .transferEncoding : .other
        case (17, 0x61): return name.equalsIgnoringCase("anthropic-version") ? .anthropicVersion : .other
        case (17, 0x78) where name.equalsIgnoringCase("x-stoker-instance"): return .instance
        case (7..., 0x70), (13..., 0x78): return prefixed(name)
        default: return .other
        }
    }

    /// Names known by how they begin: `Proxy-*` and `X-Forwarded-*`.
    private static func prefixed(_ name: ByteView) -> HeaderName {
        if name.count > 6, name.slice(0, 6).equalsIgnoringCase("proxy-") { return .proxy }
        if name.count > 12, name.slice(0, 12).equalsIgnoringCase("x-forwarded-") { return .forwardedX }
        return .other
    }

    /// Whether a request's field stops at the gateway: hop by hop, the client's credentials, what would tell the
    /// server about the way here, and what the gateway writes itself.
    @inline(__always) var stopsFromClient: Bool {
        switch self {
        case .other, .contentType, .anthropicVersion, .origin, .acceptRanges, .retryAfter: return false
        default: return true
        }
    }

    /// Whether a response's field stops at the gateway: hop by hop, and what the gateway writes itself.
    @inline(__always) var stopsFromServer: Bool {
        switch self {
        case .transferEncoding, .connection, .upgrade, .keepAlive, .te, .trailer, .proxy, .requestID, .instance:
            return true
        default: return false
        }
    }
}

/// One field line of a head: where its name and value lie in the head's bytes.
struct HeaderField {
    /// The first byte of the line, which is the name's.
    var nameStart: UInt32
    /// The name's length.
    var nameLength: UInt16
    /// What the name is.
    var name: HeaderName
    /// Whether `Connection` names it, so that it stops here (RFC 9110 §7.6.1).
    var named: Bool
    /// The first byte of the value, spaces around it left out.
    var valueStart: UInt32
    /// The value's length.
    var valueLength: UInt32
    /// The byte after the line's end.
    var lineEnd: UInt32
}

extension HeaderField {
    /// The field of a line that begins at `start`.
    @inline(__always) init(_ line: FieldLine, from start: Int, name: HeaderName) {
        self.init(
            nameStart: UInt32(truncatingIfNeeded: start), nameLength: UInt16(truncatingIfNeeded: line.colon &- start),
            name: name, named: false, valueStart: UInt32(truncatingIfNeeded: line.valueStart),
            valueLength: UInt32(truncatingIfNeeded: line.valueEnd &- line.valueStart),
            lineEnd: UInt32(truncatingIfNeeded: line.end &+ 2))
    }
}

/// Room for the fields of the head that is being looked at: one a loop, used again for each head.
struct HeaderTable {
    /// The most field lines of a head.
    static let capacity = 128

    /// The fields' memory.
    let fields: UnsafeMutablePointer<HeaderField>

    /// Memory for ``capacity`` fields, never given back.
    init() { fields = .allocate(capacity: Self.capacity) }

    /// The field at an index.
    @inline(__always) subscript(index: Int) -> HeaderField {
        assert(index >= 0 && index < Self.capacity)
        return fields[index]
    }

    /// A field's name in the bytes it was found in.
    @inline(__always) func name(_ index: Int, in view: ByteView) -> ByteView {
        let field = self[index]
        return view.slice(Int(field.nameStart), Int(field.nameStart) + Int(field.nameLength))
    }

    /// A field's value in the bytes it was found in.
    @inline(__always) func value(_ index: Int, in view: ByteView) -> ByteView {
        let field = self[index]
        return view.slice(Int(field.valueStart), Int(field.valueStart) + Int(field.valueLength))
    }

    /// Calls with each stretch of whole lines, from the first of them to behind the last, that is left of a head's
    /// fields without those that stop; the last line ends at `end`. Neighbours leave together, as they came.
    @inline(__always) func stretches(
        _ count: Int, end: Int, without stops: (HeaderField) -> Bool, _ take: (Int, Int) -> Void
    ) {
        var from = -1
        for index in 0..<count {
            let field = self[index]
            if stops(field) {
                if from >= 0 { take(from, Int(field.nameStart)) }
                from = -1
            } else if from < 0 {
                from = Int(field.nameStart)
            }
        }
        if from >= 0 { take(from, end) }
    }
}
