import Foundation

/// The target of this run, by its name in STOKER_FUZZ.
nonisolated(unsafe) private let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["STOKER_FUZZ"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        fatalError("Set STOKER_FUZZ to one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return target
}()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func checkOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    if let wrong = target.check(input) { fatalError("\(target): \(wrong)") }
    return 0
}
