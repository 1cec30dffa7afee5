/// Memory for the bytes of a routing table: given out piece by piece, given back all at once.
struct Arena: ~Copyable {
    private var pieces: [UnsafeMutableRawPointer] = []

    /// An arena with nothing in it.
    init() {}

    /// A copy of some bytes.
    mutating func store(_ bytes: [UInt8]) -> ByteView {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        pieces.append(memory)
        bytes.withUnsafeBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: $0.count) } }
        return ByteView(UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)), bytes.count)
    }

    /// A copy of a text.
    mutating func store(_ text: String) -> ByteView { store(Array(text.utf8)) }

    /// Plain values in a row.
    mutating func store<Value: BitwiseCopyable>(_ values: [Value]) -> UnsafePointer<Value> {
        let memory = UnsafeMutablePointer<Value>.allocate(capacity: max(values.count, 1))
        pieces.append(UnsafeMutableRawPointer(memory))
        memory.initialize(from: values, count: values.count)
        return UnsafePointer(memory)
    }

    deinit { for piece in pieces { piece.deallocate() } }
}
