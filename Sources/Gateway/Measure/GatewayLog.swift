import Glibc
import Synchronization

/// The gateway's log on stderr: a static sentence and metadata a line; never a key or a body.
public enum GatewayLog {
    /// How lines look; the supervisor's own log has the same three.
    public enum Style: String, Sendable, CaseIterable {
        /// For a person: time, level, sentence, `key=value`.
        case text
        /// One JSON object.
        case json
        /// For journald, which reads the level off a `<4>` in front (sd-daemon(3)) and knows the time.
        case journal
    }

    /// The variable of its environment that the supervisor names the style in.
    public static let variable = "STOKER_LOG"

    /// The index of this process's style among all.
    private static let chosen = Atomic<Int>(1)

    /// The style of this process; JSON until it is set.
    static var style: Style {
        get { Style.allCases[chosen.load(ordering: .relaxed)] }
        set { chosen.store(Style.allCases.firstIndex(of: newValue)!, ordering: .relaxed) }
    }

    /// Something worth knowing.
    static func info(_ message: StaticString, _ metadata: [(StaticString, String)]) { write(.info, message, metadata) }

    /// Something that heals by itself.
    static func warning(_ message: StaticString, _ metadata: [(StaticString, String)]) {
        write(.warning, message, metadata)
    }

    /// Something that does not.
    static func error(_ message: StaticString, _ metadata: [(StaticString, String)]) {
        write(.error, message, metadata)
    }

    /// How bad it is.
    enum Level: String {
        case info, warning, error

        /// As the supervisor's lines for people have it.
        var word: String {
            switch self {
            case .info: return "info "
            case .warning: return "WARN "
            case .error: return "ERROR"
            }
        }

        /// syslog(3)'s number.
        var priority: Int {
            switch self {
            case .info: return 6
            case .warning: return 4
            case .error: return 3
            }
        }
    }

    private static func write(_ level: Level, _ message: StaticString, _ metadata: [(StaticString, String)]) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let fields = metadata.map { ("\($0.0)", $0.1) }
        StandardError.write(Array(line(style, level, "\(message)", fields, seconds: now.tv_sec).utf8))
    }

    /// One line; `seconds` of Unix time.
    static func line(
        _ style: Style, _ level: Level, _ message: String, _ metadata: [(String, String)], seconds: Int
    ) -> String {
        let time = Timestamp.rfc3339(seconds)
        if style == .json {
            let fields = [("time", time), ("level", level.rawValue), ("message", message)] + metadata
            return "{" + fields.map { "\(json($0.0)):\(json($0.1))" }.joined(separator: ",") + "}\n"
        }
        let start = style == .journal ? "<\(level.priority)>" : "\(time.dropFirst(11).prefix(8)) \(level.word) "
        return start + message + metadata.map { " \($0.0)=\(quoted($0.1))" }.joined() + "\n"
    }

    private static func json(_ text: String) -> String { String(decoding: JSONString.encode(text), as: UTF8.self) }

    private static func quoted(_ text: String) -> String {
        text.utf8.contains { $0 <= 0x20 || $0 == 0x22 } ? json(text) : text
    }
}
