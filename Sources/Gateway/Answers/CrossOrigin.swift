/// Which pages of other origins may use the gateway from a browser (Fetch standard, "CORS protocol"): what a request's
/// `Origin` is allowed, and the lines that say so.
struct CrossOrigin: Equatable {
    /// What an origin gets.
    enum Grant: Equatable {
        /// Nothing: browsers keep the answer from the page.
        case none
        /// It is named in the answer.
        case named([UInt8])
        /// Any origin.
        case any
    }

    private var origins: [[UInt8]] = []
    private var isAny = false

    /// The configured origins; `*` among them is any.
    init(_ configured: [String]?) {
        for origin in configured ?? [] {
            if origin == "*" { isAny = true } else if origin.utf8.count <= 512 { origins.append(Array(origin.utf8)) }
        }
    }

    /// Whether any origin is configured.
    var isEnabled: Bool { isAny || !origins.isEmpty }

    /// What an `Origin` gets. Browsers send it in lower case; it is compared as it is.
    func grant(_ origin: ByteView) -> Grant {
        if let found = origins.first(where: { Self.isSame($0, origin) }) { return .named(found) }
        return isAny ? .any : .none
    }

    private static func isSame(_ bytes: [UInt8], _ view: ByteView) -> Bool {
        bytes.withUnsafeBufferPointer { $0.baseAddress.map { ByteView($0, bytes.count).equals(view) } ?? false }
    }

    /// The lines of an answer to a page: what may be read, and that it depends on the origin.
    static func lines(_ grant: Grant) -> [UInt8] {
        let exposed = "access-control-expose-headers: x-request-id, x-stoker-instance, retry-after\r\n"
        switch grant {
        case .none: return Array("vary: Origin\r\n".utf8)
        case .any: return Array("access-control-allow-origin: *\r\n\(exposed)".utf8)
        case .named(let origin):
            return Array("access-control-allow-origin: ".utf8) + origin + Array("\r\nvary: Origin\r\n\(exposed)".utf8)
        }
    }

    /// The lines of an answer to a preflight: methods, and the headers that it asked for. `*` would leave out
    /// Authorization, so they are named.
    static func preflightLines(_ grant: Grant, headers: ByteView) -> [UInt8] {
        let varies = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
        var lines: [UInt8]
        switch grant {
        case .none: return Array(varies.utf8)
        case .any: lines = Array("access-control-allow-origin: *\r\n".utf8)
        case .named(let origin):
            lines = Array("access-control-allow-origin: ".utf8) + origin + Array("\r\n".utf8)
        }
        lines += Array("access-control-allow-methods: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n".utf8)
        if isList(headers) { lines += Array("access-control-allow-headers: ".utf8) + headers.array + [0x0d, 0x0a] }
        return lines + Array("access-control-max-age: 600\r\n\(varies)".utf8)
    }

    /// Whether a value is a list of field names and nothing else.
    private static func isList(_ value: ByteView) -> Bool {
        guard !value.isEmpty, value.count <= 4096 else { return false }
        for index in 0..<value.count {
            let byte = value[index]
            guard ASCII.isToken(byte) || byte == 0x2c || byte == 0x20 else { return false }
        }
        return true
    }
}

extension ByteView {
    /// Whether a field's name begins with `access-control-`.
    var isCrossOrigin: Bool { count > 15 && slice(0, 15).equalsIgnoringCase("access-control-") }
}
