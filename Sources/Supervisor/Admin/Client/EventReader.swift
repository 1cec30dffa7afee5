/// Takes a stream of server-sent events apart: a value, without a socket. Only what this API sends: no BOM, `\n`.
public struct EventReader: Sendable {
    private var buffer: [UInt8] = []

    /// Nothing read yet.
    public init() {}

    /// Takes bytes and returns the data of each event that became whole.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> [[UInt8]] {
        buffer.append(contentsOf: bytes)
        var events: [[UInt8]] = []
        var data: [UInt8] = []
        var done = 0
        var start = 0
        for index in buffer.indices where buffer[index] == 10 {
            let line = buffer[start..<index]
            start = index + 1
            if line.isEmpty {
                if !data.isEmpty { events.append(data) }
                data = []
                done = start
            } else if line.starts(with: "data: ".utf8) {
                if !data.isEmpty { data.append(10) }
                data += line.dropFirst(6)
            }
        }
        buffer.removeFirst(done)
        return events
    }
}
