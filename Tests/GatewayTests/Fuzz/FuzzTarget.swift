/// What the fuzzer throws bytes at (`make fuzz`), and what an ordinary test replays: each target checks its invariants
/// and says in a sentence what does not hold.
enum FuzzTarget: String, CaseIterable {
    case scanner, head, response, framing, multipart, path

    /// What is wrong with how these bytes were taken; nil when all is as it should be.
    func check(_ bytes: [UInt8]) -> String? {
        switch self {
        case .scanner: ScannerProperty.check(bytes)
        case .head: HeadProperty.check(bytes)
        case .response: ResponseProperty.check(bytes)
        case .framing: FramingProperty.check(bytes)
        case .multipart: MultipartProperty.check(bytes)
        case .path: PathProperty.check(bytes)
        }
    }

    /// Places to split bytes at: all of few, and some of many, by what the bytes are.
    static func splits(_ bytes: [UInt8], most: Int = 40) -> [Int] {
        guard bytes.count > most else { return Array(0...bytes.count) }
        var seed: UInt64 = 1
        for byte in bytes { seed = (seed ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return (0..<12).map { Int((seed &* (2 * $0 + 1)) >> 33 % UInt64(bytes.count + 1)) }
    }

    /// Bytes as they could stand in a message.
    static func shown(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self).debugDescription
    }
}
