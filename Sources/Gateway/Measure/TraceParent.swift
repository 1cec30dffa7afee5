/// A `traceparent` (W3C Trace Context, section 3.2), kept in place for the access log: version 00 has 55 characters.
struct TraceParent {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
    private(set) var isPresent = false

    /// None.
    init() {}

    /// One as it came; none when it is not of the form.
    init(_ view: ByteView) {
        guard view.count == 55 else { return }
        for index in 0..<55 {
            let isDash = index == 2 || index == 35 || index == 52
            let byte = view[index]
            guard isDash ? byte == 0x2d : byte &- 0x30 < 10 || byte &- 0x61 < 6 else { return }
        }
        isPresent = true
        withUnsafeMutableBytes(of: &words) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: view.base, count: 55))
        }
    }

    /// Calls with its bytes.
    @inline(__always) func withBytes(_ body: (ByteView) -> Void) {
        withUnsafeBytes(of: words) { body(ByteView($0.baseAddress!.assumingMemoryBound(to: UInt8.self), 55)) }
    }
}
