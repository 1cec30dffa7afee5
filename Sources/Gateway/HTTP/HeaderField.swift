/// The field names that the gateway itself looks at, or stops.
enum HeaderName: UInt8 {
    /// Any other field: passed on as it came.
    case other
    case host, contentLength, transferEncoding, connection, contentType, contentEncoding, expect, upgrade
    case authorization, apiKey, requestID, origin, anthropicVersion, instance
    case keepAlive, te, trailer, cookie, forwarded, acceptEncoding, proxy, forwardedX, acceptRanges
    case retryAfter

    /// The name in any case.
    @inline(__always) static func of(_ name: ByteView) -> HeaderName {
        switch name.count {
        case 2: return name.equalsIgnoringCase("te") ? .te : .other
        case 4: return name.equalsIgnoringCase("host") ? .host : .other
        case 6:
            if name.equalsIgnoringCase("expect") { return .expect }
            if name.equalsIgnoringCase("cookie") { return .cookie }
            return name.equalsIgnoringCase("origin") ? .origin : .other
        case 7:
            if name.equalsIgnoringCase("upgrade") { return .upgrade }
            return name.equalsIgnoringCase("trailer") ? .trailer : .other
        case 9:
            if name.equalsIgnoringCase("x-api-key") { return .apiKey }
            return name.equalsIgnoringCase("forwarded") ? .forwarded : .other
        case 10:
            if name.equalsIgnoringCase("connection") { return .connection }
            return name.equalsIgnoringCase("keep-alive") ? .keepAlive : prefixed(name)
        case 11: return name.equalsIgnoringCase("retry-after") ? .retryAfter : prefixed(name)
        case 12:
            if name.equalsIgnoringCase("content-type") { return .contentType }
            return name.equalsIgnoringCase("x-request-id") ? .requestID : prefixed(name)
        case 13: return name.equalsIgnoringCase("authorization") ? .authorization : prefixed(name)
        case 14: return name.equalsIgnoringCase("content-length") ? .contentLength : prefixed(name)
        case 15: return name.equalsIgnoringCase("accept-encoding") ? .acceptEncoding : prefixed(name)
        case 16: return name.equalsIgnoringCase("content-encoding") ? .contentEncoding : prefixed(name)
        case 17:
            if name.equalsIgnoringCase("transfer-encoding") { return .transferEncoding }
            if name.equalsIgnoringCase("x-stoker-instance") { return .instance }
            return name.equalsIgnoringCase("anthropic-version") ? .anthropicVersion : prefixed(name)
        default: return prefixed(name)
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
}
