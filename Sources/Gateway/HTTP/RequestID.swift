/// The id that a request is known by: the client's `x-request-id` where it is 1–128 of `[A-Za-z0-9._-]`, else ours.
///
/// A client's longer than 32 characters is kept in memory of its own, which is the rare case.
struct RequestID {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private var count: UInt8 = 0
    private var long: [UInt8]?

    /// No id.
    init() {}

    /// A client's id, or nil when it is not acceptable.
    init?(_ view: ByteView) {
        guard view.count >= 1, view.count <= 128 else { return nil }
        for index in 0..<view.count {
            switch view[index] {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: continue
            default: return nil
            }
        }
        if view.count > 32 {
            long = view.array
        } else {
            count = UInt8(view.count)
            withUnsafeMutableBytes(of: &words) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: view.base, count: view.count))
            }
        }
    }

    /// A new one of 32 hexadecimal digits.
    @inline(__always) init(_ random: inout Random) {
        count = 32
        words = (
            Self.hex(UInt32(truncatingIfNeeded: random.next() &>> 32)),
            Self.hex(UInt32(truncatingIfNeeded: random.next() &>> 32)),
            Self.hex(UInt32(truncatingIfNeeded: random.next() &>> 32)),
            Self.hex(UInt32(truncatingIfNeeded: random.next() &>> 32))
        )
    }

    /// Eight hexadecimal digits as they lie in memory: each half byte spread to a byte, then to its digit.
    @inline(__always) private static func hex(_ value: UInt32) -> UInt64 {
        var spread = UInt64(value)
        spread = (spread | spread &<< 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread &<< 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread | spread &<< 4) & 0x0f0f_0f0f_0f0f_0f0f
        let letters = ((spread &+ 0x0606_0606_0606_0606) &>> 4) & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }

    /// Calls with the id's bytes.
    @inline(__always) func withBytes(_ body: (ByteView) -> Void) {
        if let long {
            long.withUnsafeBufferPointer { body(ByteView($0.baseAddress!, $0.count)) }
        } else {
            withUnsafePointer(to: words) {
                $0.withMemoryRebound(to: UInt8.self, capacity: 32) { body(ByteView($0, Int(count))) }
            }
        }
    }
}
