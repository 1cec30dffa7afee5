extension ChunkFraming {
    /// Appends the size line of a chunk that is written here.
    static func appendSize(_ count: Int, to out: inout Buffer) {
        let line = Array(String(count, radix: 16).utf8) + [0x0d, 0x0a]
        line.withUnsafeBufferPointer { out.append(ByteView($0.baseAddress!, $0.count)) }
    }
}
