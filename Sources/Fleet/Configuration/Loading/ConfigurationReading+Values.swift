extension ConfigurationReading {
    // MARK: Scalars

    /// Understands a key's scalar and puts it where it belongs; an error is noted at the value's place.
    mutating func apply<Value>(
        _ path: String, to target: inout Value, _ parse: (String) throws(ConfigurationValueError) -> Value
    ) {
        if let value = scalar(path, parse) { target = value }
    }

    /// A key's scalar, understood; nil where it is not given or wrong.
    mutating func scalar<Value>(
        _ path: String, _ parse: (String) throws(ConfigurationValueError) -> Value
    ) -> Value? {
        guard let setting = settings[path], case .scalar(let raw) = setting.value else { return nil }
        return understand(raw, parse)
    }

    /// One text, understood; nil, and an error, where it is wrong.
    mutating func understand<Value>(
        _ raw: RawText, _ parse: (String) throws(ConfigurationValueError) -> Value
    ) -> Value? {
        do {
            return try parse(raw.text.trimmed)
        } catch {
            self.error(error.showsValue ? "\(error), found \(Self.quoted(raw.shown))" : "\(error)", at: raw.place)
            return nil
        }
    }

    /// A boolean.
    mutating func boolean(_ path: String, to target: inout Bool) {
        apply(path, to: &target) { text throws(ConfigurationValueError) in
            switch text {
            case "true": return true
            case "false": return false
            default: throw ConfigurationValueError("expected true or false")
            }
        }
    }

    /// A whole number within the key's range.
    mutating func integer(_ path: String, to target: inout Int) {
        guard let key = ConfigurationReference.key(at: path), case .integer(let range) = key.kind else { return }
        apply(path, to: &target) { text throws(ConfigurationValueError) in
            guard let number = Int(text), range.contains(number) else {
                throw ConfigurationValueError("expected \(key.expectation)")
            }
            return number
        }
    }

    /// A duration within the key's range.
    mutating func duration(_ path: String, to target: inout Duration) {
        guard let key = ConfigurationReference.key(at: path), case .duration(let range) = key.kind else { return }
        apply(path, to: &target) { text throws(ConfigurationValueError) in
            let duration = try Duration(configuration: text)
            guard range.contains(duration) else { throw ConfigurationValueError("expected \(key.expectation)") }
            return duration
        }
    }

    /// A size within the key's range.
    mutating func size(_ path: String, to target: inout Int) {
        guard let key = ConfigurationReference.key(at: path), case .size(let range) = key.kind else { return }
        apply(path, to: &target) { text throws(ConfigurationValueError) in
            let bytes = try ByteSize.parse(text)
            guard range.contains(bytes) else { throw ConfigurationValueError("expected \(key.expectation)") }
            return bytes
        }
    }

    /// One of a type's words.
    mutating func choice<Value: RawRepresentable<String> & CaseIterable>(_ path: String, to target: inout Value) {
        apply(path, to: &target) { text throws(ConfigurationValueError) in
            if let value = Value(rawValue: text) { return value }
            let words = Value.allCases.map(\.rawValue)
            let meant = EditDistance.nearest(to: text, among: words).map { "; did you mean \($0)?" } ?? ""
            let expected = words.count == 1 ? words[0] : "one of \(words.joined(separator: ", "))"
            throw ConfigurationValueError("expected \(expected)\(meant)")
        }
    }

    /// A text that is not empty and has no control characters.
    mutating func text(_ path: String) -> String? {
        scalar(path) { text throws(ConfigurationValueError) in try Self.plainText(text) }
    }

    /// A file's path; a relative one of the configuration file is taken from that file's folder.
    mutating func path(_ path: String) -> String? {
        guard let setting = settings[path], let file = text(path) else { return nil }
        guard setting.place.layer == .yaml, !file.hasPrefix("/"),
            let slash = setting.place.file.lastIndex(of: "/")
        else { return file }
        return "\(setting.place.file[...slash])\(file)"
    }

    private static func plainText(_ text: String) throws(ConfigurationValueError) -> String {
        guard !text.isEmpty else { throw ConfigurationValueError("is empty", showsValue: false) }
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw ConfigurationValueError("has a control character", showsValue: false)
        }
        return text
    }

    // MARK: Lists

    /// A key's elements, also of one scalar.
    func elements(_ path: String) -> [RawText]? {
        switch settings[path]?.value {
        case .list(let elements): return elements
        case .scalar(let element): return [element]
        case .map, nil: return nil
        }
    }

    /// Listening addresses: at least one, none twice.
    mutating func addresses(_ path: String, to target: inout [ListenAddress]) {
        guard let place = settings[path]?.place, let elements = elements(path) else { return }
        guard !elements.isEmpty else {
            error("expected at least one address", at: place)
            return
        }
        var addresses: [ListenAddress] = []
        for element in elements {
            let address = understand(element) { text throws(ConfigurationValueError) in
                try ListenAddress(configuration: text)
            }
            guard let address else { continue }
            if addresses.contains(address), address.port != 0 {
                error("\(address) is listed twice", at: element.place)
            } else {
                addresses.append(address)
            }
        }
        if !addresses.isEmpty { target = addresses }
    }

    /// Texts that can be arguments of a program.
    mutating func arguments(_ path: String) -> [String]? {
        elements(path).map { elements in
            elements.compactMap { element in
                guard !element.text.utf8.contains(0) else {
                    error("has a NUL character, which no argument can hold", at: element.place)
                    return nil
                }
                return element.text
            }
        }
    }
}

extension ListenAddress {
    /// The port; nil for Unix sockets.
    var port: UInt16? {
        if case .tcp(_, let port) = self { return port }
        return nil
    }
}
