import Foundation
import Testing

@testable import Gateway

/// What the fuzzer (`make fuzz`) starts from and has found, replayed, and a while of the same without coverage: these
/// targets hold on every run of the tests, whatever compiler it is.
@Suite struct FuzzTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzz")

    private static func inputs(_ kind: String, _ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let folder = folder.appending(path: "\(kind)/\(target.rawValue)")
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }.map { ($0.lastPathComponent, Array(try Data(contentsOf: $0))) }
    }

    @Test(arguments: FuzzTarget.allCases)
    func seedsAndFindingsHold(_ target: FuzzTarget) throws {
        let seeds = try Self.inputs("corpus", target)
        #expect(seeds.count > 4)
        for (name, bytes) in seeds + (try Self.inputs("found", target)) {
            #expect(target.check(bytes) == nil, "\(name)")
            // Also wherever it is cut off.
            for count in FuzzTarget.splits(bytes, most: 100) {
                #expect(target.check(Array(bytes[..<count])) == nil, "\(name), \(count) bytes of it")
            }
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func changedSeedsHold(_ target: FuzzTarget) throws {
        let seeds = try Self.inputs("corpus", target).map(\.bytes)
        let words = try Self.words()
        #expect(words.count > 30)
        var numbers = SeededNumbers(seed: 17)
        for _ in 0..<1500 {
            var bytes = seeds.randomElement(using: &numbers)!
            for _ in 0..<Int.random(in: 1...4, using: &numbers) {
                let at = Int.random(in: 0...bytes.count, using: &numbers)
                switch Int.random(in: 0..<5, using: &numbers) {
                case 0: bytes.insert(contentsOf: words.randomElement(using: &numbers)!, at: at)
                case 1 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &numbers)
                case 2 where at < bytes.count: bytes.remove(at: at)
                case 3: bytes.insert("\r\n :;,\0\"\\/%".utf8.randomElement(using: &numbers)!, at: at)
                default: bytes += seeds.randomElement(using: &numbers)!.prefix(at)
                }
            }
            bytes = Array(bytes.prefix(600))
            #expect(target.check(bytes) == nil, "\(FuzzTarget.shown(bytes))")
        }
    }

    /// The fuzzer's dictionary.
    private static func words() throws -> [[UInt8]] {
        let text = try String(contentsOf: folder.appending(path: "words.dict"), encoding: .utf8)
        return text.split(separator: "\n").filter { $0.hasPrefix("\"") }.map { line in
            var bytes: [UInt8] = []
            var rest = line.dropFirst().dropLast()
            while let letter = rest.popFirst() {
                guard letter == "\\", let mark = rest.popFirst() else {
                    bytes += Array(String(letter).utf8)
                    continue
                }
                if mark == "x", let byte = UInt8(rest.prefix(2), radix: 16) {
                    bytes.append(byte)
                    rest = rest.dropFirst(2)
                } else {
                    bytes += Array(String(mark).utf8)
                }
            }
            return bytes
        }
    }
}
