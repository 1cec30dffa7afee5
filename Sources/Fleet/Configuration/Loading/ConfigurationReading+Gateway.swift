extension ConfigurationReading {
    /// Origins as browsers send them (RFC 6454, section 6.2): scheme, host, and the port where it is not the scheme's
    /// own; or `*`.
    mutating func origins(_ path: String) -> [String]? {
        guard let elements = elements(path) else { return nil }
        let origins = elements.compactMap { element in
            understand(element) { text throws(ConfigurationValueError) in try Self.origin(text) }
        }
        return origins.isEmpty ? nil : origins
    }

    private static func origin(_ text: String) throws(ConfigurationValueError) -> String {
        if text == "*" { return text }
        let expected = "expected an origin such as https://chat.example.com, or *"
        let lowered = text.lowercased()
        guard let separator = lowered.firstRange(of: "://") else { throw ConfigurationValueError(expected) }
        let scheme = lowered[..<separator.lowerBound]
        let authority = lowered[separator.upperBound...]
        guard let first = scheme.utf8.first, (0x61...0x7a).contains(first),
            scheme.utf8.allSatisfy({ isWord($0) || $0 == 0x2b })
        else { throw ConfigurationValueError(expected) }
        guard !authority.isEmpty, authority.utf8.allSatisfy({ isWord($0) || $0 == 0x3a || $0 == 0x5b || $0 == 0x5d })
        else { throw ConfigurationValueError("\(expected); no path, not even a slash") }
        for (name, port) in [("http", ":80"), ("https", ":443")] where scheme == name && authority.hasSuffix(port) {
            throw ConfigurationValueError("\(expected); browsers leave \(port) out")
        }
        return lowered
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7a, 0x30...0x39, 0x2d, 0x2e, 0x5f: return true
        default: return false
        }
    }

    /// Where the access log goes; nil for `off`.
    mutating func accessLog(_ path: String) -> String? {
        let text = scalar(path) { text throws(ConfigurationValueError) in
            guard text == "off" || text == "stderr" || text.hasPrefix("/"),
                !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
            else { throw ConfigurationValueError("expected off, stderr, or a file's absolute path") }
            return text
        }
        return text == "off" ? nil : text
    }
}
