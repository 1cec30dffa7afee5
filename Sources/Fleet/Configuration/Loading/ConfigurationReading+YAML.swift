import Yams

extension ConfigurationReading {
    /// Collects the file's settings: each key known and given once, each value of its key's shape, variables expanded.
    mutating func readYAML() {
        guard let yaml = inputs.yaml else { return }
        let composer: YAMLComposer
        do {
            composer = try YAMLComposer(text: yaml.text)
        } catch {
            let place = SourcePlace(
                layer: .yaml, file: yaml.path, line: error.line, column: error.column, label: "(document)")
            self.error(error.message, at: place)
            return
        }
        guard let root = composer.root else { return }
        let place = yamlPlace(root.mark, label: "(document)")
        switch root {
        case .mapping(let mapping):
            readSection(mapping, prefix: "", composer: composer)
        case .scalar(let scalar) where Self.isNull(scalar): break
        default:
            error("expected keys with values, such as listen: 127.0.0.1:8080", at: place)
        }
    }

    private func yamlPlace(_ mark: Mark?, label: String) -> SourcePlace {
        SourcePlace(
            layer: .yaml, file: inputs.yaml?.path ?? "", line: mark?.line ?? 1, column: mark?.column ?? 1, label: label)
    }

    private static func isNull(_ scalar: Node.Scalar) -> Bool {
        (scalar.style == .plain || scalar.style == .any)
            && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// Calls `body` with every key that is a text and given once.
    private mutating func forEachKey(
        of mapping: Node.Mapping, prefix: String, composer: YAMLComposer,
        _ body: (inout ConfigurationReading, String, SourcePlace, Node) -> Void
    ) {
        var seen: [String: SourcePlace] = [:]
        for (keyNode, value) in mapping {
            guard case .scalar(let key) = keyNode else {
                error("a key is a text", at: yamlPlace(keyNode.mark, label: prefix.isEmpty ? "(document)" : prefix))
                continue
            }
            let name = composer.name(of: key.string)
            let path = prefix.isEmpty ? name : "\(prefix).\(name)"
            let place = yamlPlace(key.mark, label: Self.printable(path, atMost: 200))
            if name == "<<", key.style == .plain {
                error("merge keys (<<) are not supported: write the keys out", at: place)
            } else if let first = seen[name] {
                error("duplicate key: it is already given in line \(first.line), column \(first.column)", at: place)
            } else {
                seen[name] = place
                body(&self, name, place, value)
            }
        }
    }

    private mutating func readSection(_ mapping: Node.Mapping, prefix: String, composer: YAMLComposer) {
        forEachKey(of: mapping, prefix: prefix, composer: composer) { reading, name, keyPlace, value in
            let path = prefix.isEmpty ? name : "\(prefix).\(name)"
            if prefix == "providers" {
                guard Self.isName(name) else {
                    reading.error("a provider's name has 1 to 63 of a-z, 0-9 and -", at: keyPlace)
                    return
                }
                reading.providers[name] = keyPlace
                reading.readSubsection(value, path: path, keyPlace: keyPlace, composer: composer)
            } else if name.contains(".") || name.contains("*") {
                reading.unknownKey(name, prefix: prefix, at: keyPlace)
            } else if let key = ConfigurationReference.key(at: path) {
                reading.readLeaf(value, key: key, path: path, keyPlace: keyPlace, composer: composer)
            } else if ConfigurationReference.isSection(path) {
                reading.readSubsection(value, path: path, keyPlace: keyPlace, composer: composer)
            } else {
                reading.unknownKey(name, prefix: prefix, at: keyPlace)
            }
        }
    }

    private mutating func readSubsection(
        _ value: Node, path: String, keyPlace: SourcePlace, composer: YAMLComposer
    ) {
        switch value {
        case .mapping(let mapping): readSection(mapping, prefix: path, composer: composer)
        case .scalar(let scalar) where Self.isNull(scalar): break
        default:
            let names = ConfigurationReference.names(below: path).prefix(3).joined(separator: ", ")
            unreadable.insert("\(path).model")
            error(
                "expected \(path == "providers" ? "providers by name" : "keys with values (\(names) …)")",
                at: yamlPlace(value.mark, label: keyPlace.label))
        }
    }

    private mutating func unknownKey(_ name: String, prefix: String, at place: SourcePlace) {
        let siblings = ConfigurationReference.names(below: prefix)
        if name.contains("."), ConfigurationReference.key(at: prefix.isEmpty ? name : "\(prefix).\(name)") != nil {
            let parts = name.split(separator: ".").map(String.init)
            let nested = parts.dropLast().reversed().reduce("\(parts.last ?? ""): …") { "\($1): { \($0) }" }
            error("unknown key; sections are nested: \(nested)", at: place)
            return
        }
        if let meant = EditDistance.nearest(to: name, among: siblings) {
            error("unknown key; did you mean \(meant)?", at: place)
            return
        }
        // The right key in the wrong section.
        let elsewhere = ConfigurationReference.keys.first { key in
            key.path.hasSuffix(".\(name)")
                && !key.path.hasPrefix("providers.*.") == (Self.provider(of: "\(prefix).x") == nil)
        }
        if let elsewhere {
            let path = elsewhere.path.split(separator: "*").last.map { String($0.drop { $0 == "." }) } ?? elsewhere.path
            error("unknown key; did you mean \(path)?", at: place)
        } else {
            error("unknown key; known here: \(siblings.joined(separator: ", "))", at: place)
        }
    }

    private mutating func readLeaf(
        _ value: Node, key: KeyDescription, path: String, keyPlace: SourcePlace, composer: YAMLComposer
    ) {
        unreadable.insert(path)
        if case .scalar(let scalar) = value, Self.isNull(scalar) {
            error("has no value: give it one such as \(key.example), or leave the key out", at: keyPlace)
            return
        }
        let place = yamlPlace(value.mark, label: keyPlace.label)
        let expected = "expected \(key.expectation)"
        let raw: RawSetting.Value?
        switch (key.kind, value) {
        case (.environment, .mapping(let mapping)):
            raw = .map(readEntries(mapping, path: path, composer: composer))
        case (.texts, .sequence(let sequence)), (.addresses, .sequence(let sequence)),
            (.gpus, .sequence(let sequence)):
            raw = readTexts(sequence, label: keyPlace.label, expected: expected).map { .list($0) }
        case (.environment, _), (.texts, _), (_, .mapping), (_, .sequence), (_, .alias):
            error(expected, at: place)
            raw = nil
        case (_, .scalar(let scalar)):
            raw = expanded(scalar, at: place).map { .scalar($0) }
        }
        guard let raw else { return }
        unreadable.remove(path)
        lay(RawSetting(value: raw, place: place), at: path)
    }

    private mutating func readTexts(_ sequence: Node.Sequence, label: String, expected: String) -> [RawText]? {
        var texts: [RawText] = []
        var failed = false
        for (index, element) in sequence.enumerated() {
            let place = yamlPlace(element.mark, label: "\(label)[\(index)]")
            if case .scalar(let scalar) = element, !Self.isNull(scalar) {
                if let text = expanded(scalar, at: place) { texts.append(text) } else { failed = true }
            } else {
                error("\(expected); this element is not a text", at: place)
                failed = true
            }
        }
        return failed ? nil : texts
    }

    private mutating func readEntries(
        _ mapping: Node.Mapping, path: String, composer: YAMLComposer
    ) -> [RawEntry] {
        var entries: [RawEntry] = []
        forEachKey(of: mapping, prefix: path, composer: composer) { reading, name, place, value in
            switch value {
            case .scalar(let scalar) where Self.isNull(scalar):
                reading.error("has no value; for an empty one write \"\"", at: place)
            case .scalar(let scalar):
                let valuePlace = reading.yamlPlace(scalar.mark, label: place.label)
                if let text = reading.expanded(scalar, at: valuePlace) {
                    entries.append(RawEntry(name: name, namePlace: place, value: text))
                }
            default:
                reading.error(
                    "expected a text as the variable's value", at: reading.yamlPlace(value.mark, label: place.label))
            }
        }
        return entries
    }

    private mutating func expanded(_ scalar: Node.Scalar, at place: SourcePlace) -> RawText? {
        do {
            let text = try VariableExpansion.expand(
                scalar.string, environment: inputs.environment, used: &expandedVariables)
            return RawText(text: text, shown: scalar.string, place: place)
        } catch {
            self.error(error.description, at: place)
            return nil
        }
    }
}
