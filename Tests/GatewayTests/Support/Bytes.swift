@testable import Gateway

/// Calls with a view of some bytes, in memory of exactly their size so that a sanitizer sees every step too far.
func withView<Result>(_ bytes: [UInt8], _ body: (ByteView) throws -> Result) rethrows -> Result {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    defer { memory.deallocate() }
    for (index, byte) in bytes.enumerated() { memory[index] = byte }
    return try body(ByteView(UnsafePointer(memory), bytes.count))
}

/// Calls with a view of a text.
func withView<Result>(_ text: String, _ body: (ByteView) throws -> Result) rethrows -> Result {
    try withView(Array(text.utf8), body)
}

/// A repeatable source of numbers.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 2 &+ 1 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var mixed = state
        mixed ^= mixed >> 33
        mixed &*= 0xff51_afd7_ed55_8ccd
        mixed ^= mixed >> 33
        return mixed
    }
}
