import Glibc

/// The gateway's log: one JSON object a line on stderr, a static sentence and metadata; never a key or a body.
enum GatewayLog {
    /// Something worth knowing.
    static func info(_ message: StaticString, _ metadata: [(StaticString, String)]) { write("info", message, metadata) }

    /// Something that heals by itself.
    static func warning(_ message: StaticString, _ metadata: [(StaticString, String)]) {
        write("warning", message, metadata)
    }

    /// Something that does not.
    static func error(_ message: StaticString, _ metadata: [(StaticString, String)]) {
        write("error", message, metadata)
    }

    private static func write(_ level: StaticString, _ message: StaticString, _ metadata: [(StaticString, String)]) {
        var line = Array(#"{"level":""#.utf8) + ByteView(level).array + Array(#"","message":"#.utf8)
        line += JSONString.encode(ByteView(message).array)
        for (key, value) in metadata {
            line += [0x2c] + JSONString.encode(ByteView(key).array) + [0x3a] + JSONString.encode(value)
        }
        line += Array("}\n".utf8)
        StandardError.write(line)
    }
}
