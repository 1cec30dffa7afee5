extension ConfigurationReading {
    /// Lays the command line's settings over all others.
    mutating func readOverrides() {
        for (path, text) in inputs.overrides.sorted(by: { $0.key < $1.key }) {
            let place = SourcePlace.commandLine(path)
            guard let key = ConfigurationReference.key(at: path), !path.contains("*") else {
                let known = ConfigurationReference.keys.map(\.path).filter { !$0.contains("*") }
                let meant = EditDistance.nearest(to: path, among: known).map { "; did you mean \($0)?" } ?? ""
                error("unknown key\(meant)", at: place)
                continue
            }
            if key.kind == .secret {
                error(
                    "a secret on the command line can be read by every user: give \(path)_file instead", at: place)
                continue
            }
            if let provider = Self.provider(of: path) {
                guard Self.isName(provider) else {
                    error("a provider's name has 1 to 63 of a-z, 0-9 and -", at: place)
                    continue
                }
                if providers[provider] == nil { providers[provider] = place }
            }
            guard let value = Self.overlayValue(text, of: key, at: place) else {
                error("can only be set in the file", at: place)
                continue
            }
            lay(RawSetting(value: value, place: place), at: path)
        }
    }

    /// A value given as one text: lists are separated by commas; nil where a text cannot hold it.
    static func overlayValue(_ text: String, of key: KeyDescription, at place: SourcePlace) -> RawSetting.Value? {
        func list() -> RawSetting.Value {
            .list(
                text.split(separator: ",")
                    .map { $0.trimmed }
                    .filter { !$0.isEmpty }
                    .map { RawText(text: $0, shown: $0, place: place) })
        }
        let scalar = RawSetting.Value.scalar(RawText(text: text, shown: text, place: place))
        switch key.kind {
        case .environment: return nil
        case .texts: return list()
        case .addresses: return text.contains(",") ? list() : scalar
        case .gpus: return text.contains(",") || Int(text) == nil ? list() : scalar
        default: return scalar
        }
    }
}
