/// The faults that apply to one moment, or to one request; the README in the folder above lists the keys.
struct Control: Sendable {
    private(set) var values: JSON = .object([])

    static let keys: Set<String> = [
        "load_seconds", "load_silent", "load_lines", "never_ready", "exit_at_start",
        "health_status", "health_delay_ms", "delay_ms", "metrics_missing", "counters_frozen",
        "hang", "busy", "abort", "error_first", "error_after_tokens", "cut_after_tokens", "reset_after_tokens",
        "die_after_tokens", "die_how", "stall_after_tokens", "unauthorized", "model_id", "respond", "raw",
        "token_delay_ms", "first_token_delay_ms", "tokens", "payload_bytes", "text", "chunk_bytes", "write_bytes",
        "write_delay_ms", "body_read_delay_ms", "keep_alive_seconds", "engine_dead_exit_delay", "ignore_sigterm",
        "stop_seconds", "grandchild", "exit_after_requests", "exit_code", "stdout_bytes_per_second", "log",
        "limit", "where", "accept_pause",
    ]

    init() {}

    /// The control that a file's text describes for a server at `endpoint`; throws what is wrong with it.
    init(text: [UInt8], endpoint: String, pid: Int32) throws(JSONError) {
        values = try JSONParser.parse(text)
        guard let sections = values["where"]?.array else { return }
        for section in sections {
            if let part = section["endpoint"]?.string, !endpoint.contains(part) { continue }
            if let wanted = section["pid"]?.int, wanted != Int(pid) { continue }
            if let pair = section["env"]?.string {
                let halves = pair.split(separator: "=", maxSplits: 1).map(String.init)
                guard halves.count == 2, environment(halves[0]) == halves[1] else { continue }
            }
            if let more = section["set"] { values = values.merging(more) }
        }
    }

    /// Keys that mean nothing.
    var unknown: [String] { (values.members ?? []).map(\.0).filter { !Self.keys.contains($0) } }

    func merging(_ other: JSON) -> Control {
        var merged = self
        merged.values = values.merging(other)
        return merged
    }

    subscript(_ key: String) -> JSON? {
        guard let value = values[key], !value.isNull else { return nil }
        return value
    }

    func flag(_ key: String) -> Bool { self[key]?.bool ?? ((self[key]?.double ?? 0) != 0) }
    func number(_ key: String) -> Double? { self[key]?.double }
    func int(_ key: String) -> Int? { self[key]?.int }
    func string(_ key: String) -> String? { self[key]?.string }
    /// A duration in milliseconds, in seconds.
    func milliseconds(_ key: String) -> Double? { number(key).map { $0 / 1000 } }
}
