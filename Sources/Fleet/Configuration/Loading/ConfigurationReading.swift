/// One loading: the settings collected so far by the path of their key, and the problems found.
///
/// First every input lays its settings over those before it (`+YAML`, `+Environment`, `+Overrides`); then they are
/// understood (`+Values`, `+Secrets`) and put together (`+Build`, `+Providers`, `+Checks`).
struct ConfigurationReading {
    let inputs: ConfigurationInputs
    /// By path; providers' as `providers.NAME.key`.
    var settings: [String: RawSetting] = [:]
    /// Providers by name, with the place that named them first.
    var providers: [String: SourcePlace] = [:]
    /// Paths that were given but could not be read: not to be reported as missing.
    var unreadable: Set<String> = []
    /// Variables that the file asks for with `${…}`: whatever their name, they have their purpose.
    var expandedVariables: Set<String> = []
    private(set) var problems: [(place: SourcePlace, problem: ConfigurationProblem)] = []

    init(inputs: ConfigurationInputs) { self.inputs = inputs }

    /// Notes an error.
    mutating func error(_ message: String, at place: SourcePlace) {
        note(.error, message, at: place)
    }

    /// Notes a warning.
    mutating func warning(_ message: String, at place: SourcePlace) {
        note(.warning, message, at: place)
    }

    private mutating func note(_ severity: ConfigurationProblem.Severity, _ message: String, at place: SourcePlace) {
        let problem = ConfigurationProblem(
            severity: severity, file: place.file, line: place.line, column: place.column, path: place.label,
            message: message)
        if !problems.contains(where: { $0.problem == problem }) { problems.append((place, problem)) }
    }

    /// Lays a setting over the one of an input before. Of a value and its file, the later input's wins.
    mutating func lay(_ setting: RawSetting, at path: String) {
        settings[path] = setting
        if let twin = Self.twin(of: path), let other = settings[twin],
            other.place.layer.rawValue < setting.place.layer.rawValue
        {
            settings[twin] = nil
        }
    }

    /// `master_key` and `master_key_file`, `api_key` and `api_key_file`.
    static func twin(of path: String) -> String? {
        if path.hasSuffix("_key_file") { return String(path.dropLast(5)) }
        if path.hasSuffix("_key") { return path + "_file" }
        return nil
    }

    /// The name in `providers.NAME.key`.
    static func provider(of path: String) -> String? {
        guard path.hasPrefix("providers.") else { return nil }
        let rest = path.dropFirst("providers.".count)
        guard let dot = rest.firstIndex(of: ".") else { return nil }
        return String(rest[..<dot])
    }

    /// The problems in order: the file's by place, then the environment's by name, then the command line's.
    var sortedProblems: [ConfigurationProblem] {
        problems.enumerated()
            .sorted { left, right in
                if left.element.place != right.element.place { return left.element.place < right.element.place }
                return left.offset < right.offset
            }
            .map(\.element.problem)
    }

    /// A provider's name: `[a-z0-9-]{1,63}`.
    static func isName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    return true
                default: return false
                }
            }
    }

    /// A text for a message: short, on one line.
    static func quoted(_ text: String) -> String {
        "'\(printable(text, atMost: 60))'"
    }

    /// The beginning of a text, with a replacement character for whatever would break the line or hide in it.
    static func printable(_ text: String, atMost count: Int) -> String {
        let scalars = text.unicodeScalars.prefix(count).map { scalar -> String in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: return "\u{FFFD}"
            default: return String(scalar)
            }
        }
        return scalars.joined() + (text.unicodeScalars.count > count ? "…" : "")
    }
}
