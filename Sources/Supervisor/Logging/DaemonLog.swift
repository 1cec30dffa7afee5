import CSystemd
import Fleet
import FoundationEssentials
import Glibc
import Logging

/// Where the daemon's log goes, decided once at start.
public enum DaemonLog {
    /// The three ways.
    public enum Destination: String, Sendable, Hashable {
        /// Lines for a person, on a terminal.
        case text
        /// One JSON object a line.
        case json
        /// Structured journal entries, where systemd has connected stderr to the journal.
        case journal
    }

    /// The destination for this process: the journal where `$JOURNAL_STREAM` names stderr (systemd.exec(5)), text on a
    /// terminal, else JSON lines. `STOKER_LOG=text` or `json` decides otherwise.
    public static func destination(environment: [String: String]) -> Destination {
        switch environment["STOKER_LOG"] {
        case "text": return .text
        case "json": return .json
        default: break
        }
        if let stream = environment["JOURNAL_STREAM"] {
            var status = stat()
            if fstat(2, &status) == 0, stream == "\(status.st_dev):\(status.st_ino)" { return .journal }
        }
        return isatty(2) == 1 ? .text : .json
    }

    /// A handler for a destination that writes at once: for commands.
    public static func handler(_ destination: Destination, label: String) -> any LogHandler {
        handler(destination, label: label, put: write)
    }

    /// A handler for a destination that never makes anybody wait: for the daemon.
    static func handler(_ destination: Destination, label: String, pump: LogPump) -> any LogHandler {
        handler(destination, label: label) { pump.add($0) }
    }

    /// The daemon's pump for a destination.
    static func pump(_ destination: Destination) -> LogPump {
        LogPump(
            excuse: { count in
                let sentence = "\(count) log entries were left out, as nobody took them; 'stoker logs' has servers' own"
                switch destination {
                case .text: return .line(Array("\(sentence)\n".utf8))
                case .json:
                    let message = LineLogHandler.json(sentence)
                    return .line(Array("{\"level\":\"warning\",\"message\":\(message)}\n".utf8))
                case .journal:
                    let fields = ["MESSAGE=\(sentence)", "PRIORITY=4", "SYSLOG_IDENTIFIER=stoker"]
                    return .fields(fields.map { Array($0.utf8) })
                }
            }, write: write)
    }

    private static func handler(
        _ destination: Destination, label: String, put: @escaping @Sendable (LogPump.Entry) -> Void
    ) -> any LogHandler {
        switch destination {
        case .text: return LineLogHandler(label: label, style: .text, put: put)
        case .json: return LineLogHandler(label: label, style: .json, put: put)
        case .journal: return JournalLogHandler(label: label, put: put)
        }
    }

    /// Writes an entry where it belongs, however long that takes.
    private static func write(_ entry: LogPump.Entry) {
        switch entry {
        case .line(let bytes): _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
        case .fields(let fields):
            // The journal copies what it is given, so the buffers need to live only for the call.
            let buffers = fields.map { field in
                let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: field.count)
                _ = buffer.initialize(from: field)
                return buffer
            }
            defer { for buffer in buffers { buffer.deallocate() } }
            let vectors = buffers.map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
            sd_journal_sendv(vectors, Int32(vectors.count))
        }
    }
}

/// Writes one line a message to stderr, in one write so that lines of several processes do not mix.
struct LineLogHandler: LogHandler {
    enum Style: Sendable { case text, json }

    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    let label: String
    let style: Style
    private let put: @Sendable (LogPump.Entry) -> Void

    init(label: String, style: Style, put: @escaping @Sendable (LogPump.Entry) -> Void) {
        self.label = label
        self.style = style
        self.put = put
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }.sorted { $0.key < $1.key }
        var line: String
        switch style {
        case .text:
            let time = Date().formatted(.iso8601.time(includingFractionalSeconds: false))
            let metadata = Dictionary(all) { $1 }
            if metadata["event"] == "output", let instance = metadata["instance"] {
                // An engine's own line, as it would stand in its log.
                return put(.line(Array("\(time) \(instance) | \(event.message)\n".utf8)))
            }
            line = "\(time) \(Self.word(event.level)) \(event.message)"
            for (key, value) in all { line += " \(key)=\(Self.quoted("\(value)"))" }
        case .json:
            var fields = [
                ("time", Date().formatted(.iso8601)), ("level", event.level.rawValue), ("message", "\(event.message)"),
            ]
            fields += all.map { ($0.key, "\($0.value)") }
            line = "{" + fields.map { "\(Self.json($0.0)):\(Self.json($0.1))" }.joined(separator: ",") + "}"
        }
        put(.line(Array("\(line)\n".utf8)))
    }

    private static func word(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: return "debug"
        case .info, .notice: return "info "
        case .warning: return "WARN "
        case .error, .critical: return "ERROR"
        }
    }

    private static func quoted(_ text: String) -> String {
        text.contains { $0 == " " || $0 == "\"" || $0.isNewline } ? json(text) : text
    }

    /// A string as JSON (RFC 8259 §7).
    static func json(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                out += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

/// Sends structured entries to the journal: `MESSAGE`, `PRIORITY`, and each metadata key as `STOKER_KEY`.
struct JournalLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    let label: String
    private let put: @Sendable (LogPump.Entry) -> Void

    init(label: String, put: @escaping @Sendable (LogPump.Entry) -> Void) {
        self.label = label
        self.put = put
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }.sorted { $0.key < $1.key }
        let readable = all.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        var fields = ["MESSAGE=\(event.message)\(readable.isEmpty ? "" : " (\(readable))")"]
        fields.append("PRIORITY=\(Self.priority(event.level))")
        fields.append("SYSLOG_IDENTIFIER=stoker")
        for (key, value) in all { fields.append("STOKER_\(Self.fieldName(key))=\(value)") }
        put(.fields(fields.map { Array($0.utf8) }))
    }

    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: return 7
        case .info: return 6
        case .notice: return 5
        case .warning: return 4
        case .error: return 3
        case .critical: return 2
        }
    }

    /// Field names are capitals, digits and underscores (systemd.journal-fields(7)).
    private static func fieldName(_ key: String) -> String {
        String(key.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }
}
