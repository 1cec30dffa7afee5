import Foundation
import Testing

@testable import Gateway

/// The scanner by hand-written cases, and against a real parser on generated ones.
@Suite struct ModelScannerTests {
    struct Result: Equatable {
        var failure: JSONFailure?
        var model: String?
    }

    static func scan(_ pieces: [[UInt8]]) -> Result {
        var scanner = ModelScanner()
        for piece in pieces { withView(piece) { _ = scanner.feed($0) } }
        let failure = scanner.finish()
        guard failure == nil, let place = scanner.model else { return Result(failure: failure, model: nil) }
        let whole = pieces.flatMap { $0 }
        let inner = Array(whole[(place.start + 1)..<(place.end - 1)])
        let text = withView(inner) { view in
            [UInt8](unsafeUninitializedCapacity: inner.count + 4) { buffer, count in
                count = JSONString.unescape(view, into: buffer.baseAddress!)
            }
        }
        return Result(failure: nil, model: String(decoding: text, as: UTF8.self))
    }

    static func scan(_ text: String) -> Result { scan([Array(text.utf8)]) }

    @Test(arguments: [
        (#"{"model":"a"}"#, "a"), (#" { "x" : [ 1 , {"model":"no"} ] , "model" : "a/b" } "#, "a/b"),
        (#"{"mod\u0065l":"a"}"#, "a"), (#"{"\u006d\u006F\u0064\u0065\u006C":"a"}"#, "a"),
        (#"{"model":"vllm-test\/org\/m"}"#, "vllm-test/org/m"), (#"{"model":"\u00e9\ud83d\ude00"}"#, "é😀"),
        (#"{"models":1,"mode":2,"Model":3,"model":"a","model\u0000":4,"":5}"#, "a"),
        (#"{"model":""}"#, ""), (#"{"a":-0.5e+10,"b":0,"c":true,"d":false,"e":null,"f":1E5,"model":"x"}"#, "x"),
        (#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"yes"}"#, "yes"),
    ])
    func finds(_ text: String, _ model: String) {
        let bytes = Array(text.utf8)
        for split in 0...bytes.count {
            let result = Self.scan([Array(bytes[0..<split]), Array(bytes[split...])])
            #expect(result == Result(failure: nil, model: model), "\(text) at \(split)")
        }
        #expect(Self.scan(bytes.map { [$0] }) == Result(failure: nil, model: model))
    }

    @Test(arguments: [
        ("", JSONFailure.notAnObject), ("[]", .notAnObject), ("\"a\"", .notAnObject), ("null", .notAnObject),
        ("\u{feff}{}", .byteOrderMark), ("{", .truncated), ("{\"a\":", .truncated), ("{\"a\":\"", .truncated),
        ("{}}", .syntax), ("{} x", .syntax), ("{,}", .syntax), ("{\"a\":1,}", .syntax), ("{\"a\" 1}", .syntax),
        ("{'a':1}", .syntax), ("{a:1}", .syntax), ("{\"a\":01}", .syntax), ("{\"a\":1.}", .syntax),
        ("{\"a\":.5}", .syntax), ("{\"a\":+1}", .syntax), ("{\"a\":1e}", .syntax), ("{\"a\":-}", .syntax),
        ("{\"a\":tru}", .syntax), ("{\"a\":nul}", .syntax), ("{\"a\":NaN}", .syntax), ("{\"a\":[1,]}", .syntax),
        ("{\"a\":[}", .syntax), ("{\"a\":{]}", .syntax), ("{\"a\":\"\u{1}\"}", .syntax), ("{\"a\":\"\n\"}", .syntax),
        ("{\"a\":\"\\x\"}", .syntax), ("{\"a\":\"\\u12g4\"}", .syntax), ("{\"a\":1 2}", .syntax),
        ("{\"a\":1 \"b\":2}", .syntax), ("{\"model\":1}", .modelNotString), ("{\"model\":null}", .modelNotString),
        ("{\"model\":[\"a\"]}", .modelNotString), ("{\"model\":{}}", .modelNotString),
        ("{\"model\":\"a\",\"model\":\"a\"}", .duplicateModel),
        ("{\"model\":\"a\",\"mod\\u0065l\":1}", .duplicateModel),
        ("{\"a\":\"\0\"}", .syntax),
    ])
    func refuses(_ text: String, _ failure: JSONFailure) {
        let bytes = Array(text.utf8)
        for split in 0...bytes.count {
            let result = Self.scan([Array(bytes[0..<split]), Array(bytes[split...])])
            #expect(result.failure == failure, "\(text.debugDescription) at \(split)")
        }
    }

    @Test func refusesWhatIsNoUTF8() {
        let bad: [[UInt8]] = [
            [0x80], [0xc0, 0x80], [0xc1, 0xbf], [0xc3], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80],
            [0xf0, 0x80, 0x80, 0x80],
            [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff], [0xe2, 0x82], [0xe2, 0x28, 0xa1],
        ]
        for bytes in bad {
            let body = Array("{\"a\":\"".utf8) + bytes + Array("\"}".utf8)
            #expect(Self.scan([body]).failure == .utf8, "\(bytes)")
        }
        for good in ["é", "€", "😀", "\u{7ff}", "\u{800}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "\u{7f}"] {
            #expect(Self.scan("{\"a\":\"\(good)\"}").failure == nil)
        }
    }

    @Test func hasItsDepth() {
        func nested(_ depth: Int) -> String {
            "{\"a\":" + String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth - 1) + "}"
        }
        #expect(Self.scan(nested(128)).failure == nil)
        #expect(Self.scan(nested(129)).failure == .depth)
        let objects =
            String(repeating: "{\"a\":", count: 127) + "{\"model\":\"no\"}" + String(repeating: "}", count: 127)
        #expect(Self.scan(objects) == Result(failure: nil, model: nil))
    }

    @Test func notesWhatAFollowUpContinues() {
        var scanner = ModelScanner()
        let text = #"{"previous_response_id":"resp_1","x":{"previous_response_id":"no"},"model":"m"}"#
        withView(text) { _ = scanner.feed($0) }
        #expect(scanner.finish() == nil)
        #expect(scanner.previousResponse == ModelScanner.Place(start: 24, end: 32, hasEscapes: false))
    }

    // MARK: Against a real parser

    private enum Value: Decodable {
        case object([String: Value]), array([Value]), string(String), other

        init(from decoder: any Decoder) throws {
            if let keyed = try? decoder.container(keyedBy: Key.self) {
                var members: [String: Value] = [:]
                for key in keyed.allKeys { members[key.stringValue] = try keyed.decode(Value.self, forKey: key) }
                self = .object(members)
            } else if var list = try? decoder.unkeyedContainer() {
                var values: [Value] = []
                while !list.isAtEnd { values.append(try list.decode(Value.self)) }
                self = .array(values)
            } else {
                let single = try decoder.singleValueContainer()
                if single.decodeNil() || (try? single.decode(Bool.self)) != nil
                    || (try? single.decode(Double.self)) != nil
                {
                    self = .other
                } else {
                    // The parser looks into a string only when asked for it.
                    self = .string(try single.decode(String.self))
                }
            }
        }

        struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init?(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
    }

    private static func random(_ numbers: inout SeededNumbers, depth: Int) -> String {
        let space = ["", "", " ", "\n", "\t\r "].randomElement(using: &numbers)!
        switch Int.random(in: 0..<(depth > 4 ? 4 : 6), using: &numbers) {
        case 0: return space + string(&numbers)
        case 1: return space + ["0", "-1", "12.5", "1e9", "-0.5E-3", "123456789"].randomElement(using: &numbers)!
        case 2: return space + ["true", "false", "null"].randomElement(using: &numbers)!
        case 3: return space + string(&numbers) + space
        case 4:
            let items = (0..<Int.random(in: 0..<4, using: &numbers)).map { _ in random(&numbers, depth: depth + 1) }
            return "[" + items.joined(separator: space + ",") + space + "]"
        default: return object(&numbers, depth: depth + 1)
        }
    }

    private static func object(_ numbers: inout SeededNumbers, depth: Int) -> String {
        var keys: Set<String> = []
        var members: [String] = []
        for _ in 0..<Int.random(in: 0..<5, using: &numbers) {
            let key = [
                "model", "mod\\u0065l", "\\u006dodel", "models", "x", "stream", "é", "a\\/b", "previous_response_id",
            ]
            .randomElement(using: &numbers)!
            guard keys.insert(key.hasSuffix("l") ? "model" : key).inserted else { continue }
            let isModel = key.hasSuffix("l")
            members.append("\"\(key)\" :" + (isModel ? string(&numbers) : random(&numbers, depth: depth)))
        }
        return "{" + members.joined(separator: " ,\n") + "}"
    }

    private static func string(_ numbers: inout SeededNumbers) -> String {
        let pieces = (0..<Int.random(in: 0..<5, using: &numbers)).map { _ in
            [
                "a", "org/m", "\\/", "\\\"", "\\\\", "é", "😀", "\\u00e9", "\\ud83d\\ude00", "\\n", "{", "}",
                "\"model\"".replacing("\"", with: "\\\""), "longer plain text here", "\\u0000",
            ]
            .randomElement(using: &numbers)!
        }
        return "\"" + pieces.joined() + "\""
    }

    @Test func agreesWithARealParser() throws {
        var numbers = SeededNumbers(seed: 11)
        var refused = 0
        for round in 0..<1200 {
            var bytes = Array(Self.object(&numbers, depth: 0).utf8)
            if round % 2 == 1, !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &numbers)
                bytes[place] = "{}[],:\"\\ 0x\u{1}".utf8.randomElement(using: &numbers)!
            }
            let ours = Self.scan([bytes])
            let theirs = try? JSONDecoder().decode(Value.self, from: Data(bytes))
            switch ours.failure {
            // What the other parser lets pass or forgives differently.
            case .duplicateModel, .modelNotString: continue
            case nil:
                guard case .object(let members)? = theirs else {
                    // Foundation refuses a surrogate without its half; RFC 8259 §8.2 lets the grammar have it.
                    if String(decoding: bytes, as: UTF8.self).contains("\\ud") { continue }
                    Issue.record("we alone accept \(String(decoding: bytes, as: UTF8.self).debugDescription)")
                    continue
                }
                if case .string(let model)? = members["model"] {
                    #expect(ours.model == model, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
                } else {
                    #expect(ours.model == nil)
                }
            default:
                refused += 1
                // Foundation forgives a comma before the end of an array.
                let text = String(decoding: bytes, as: UTF8.self)
                if case .object? = theirs, try /,\s*\]/.firstMatch(in: text) == nil {
                    Issue.record("we alone refuse \(String(decoding: bytes, as: UTF8.self).debugDescription)")
                }
            }
            let every = Self.scan(bytes.map { [$0] })
            #expect(every == ours)
            for split in 0...bytes.count {
                #expect(Self.scan([Array(bytes[0..<split]), Array(bytes[split...])]) == ours)
            }
        }
        #expect(refused > 80)
    }

    /// Bodies with everything that is hard: keys twice and in every spelling, halves of surrogates, nesting around the
    /// limit, a byte changed. Each is cut at every place, and the verdict is that of a plain parser and of Foundation's.
    @Test func agreesOnHardBodiesCutAtEveryPlace() {
        var numbers = SeededNumbers(seed: 23)
        let keys = [
            "model", "mod\\u0065l", "\\u006dodel", "models", "\\u006Dodel\\u0000", "previous_response_id", "x",
            "é\\ud83d",
        ]
        let texts = [
            "", "a/b", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83d\\ud83d\\ude00", "\\u0000",
            "😀é€",
            "\\\"model\\\":\\\"no\\\"", "\\\\", "\\/",
        ]
        var verdicts: [JSONFailure?: Int] = [:]
        for round in 0..<160 {
            var members = (0..<Int.random(in: 0..<5, using: &numbers)).map { _ in
                let text = texts.randomElement(using: &numbers)! + texts.randomElement(using: &numbers)!
                return "\"\(keys.randomElement(using: &numbers)!)\": \"\(text)\""
            }
            if round % 4 == 0 {
                let depth = Int.random(in: 125...130, using: &numbers)
                let isObject = Bool.random(using: &numbers)
                let open = String(repeating: isObject ? "{\"model\":" : "[", count: depth)
                members.append("\"deep\":\(open)1\(String(repeating: isObject ? "}" : "]", count: depth))")
            } else if round % 4 == 1 {
                members.append(
                    ["\"model\":1", "\"n\":-0", "\"n\":1e999", "\"model\":null"].randomElement(using: &numbers)!)
            }
            var bytes = Array("{\(members.shuffled(using: &numbers).joined(separator: ","))}".utf8)
            if round % 5 == 0 {
                bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            #expect(ScannerProperty.check(bytes) == nil, "\(FuzzTarget.shown(bytes))")
            let whole = ScannerProperty.scan([bytes[...]])
            verdicts[whole.failure, default: 0] += 1
            for split in 0...bytes.count {
                #expect(ScannerProperty.scan([bytes[..<split], bytes[split...]]) == whole, "at \(split)")
            }
        }
        for kind: JSONFailure? in [nil, .duplicateModel, .modelNotString, .depth, .syntax, .utf8] {
            #expect((verdicts[kind] ?? 0) > 1, "\(verdicts)")
        }
    }

    @Test func neverCrashesOnAnything() {
        var numbers = SeededNumbers(seed: 5)
        for _ in 0..<60_000 {
            let count = Int.random(in: 0..<40, using: &numbers)
            var bytes = (0..<count).map { _ in
                "{}[]:,\"\\u0mdel1truefalsn.-+ \u{e9}".utf8.randomElement(using: &numbers)!
            }
            if Bool.random(using: &numbers) { bytes = Array("{\"".utf8) + bytes }
            _ = Self.scan([bytes])
        }
    }

    @Test func encodesWhatItDecodes() {
        for text in ["", "a/b", "\"\\\u{1}\n\r\t", "é😀", "\u{7f}"] {
            let encoded = JSONString.encode(text)
            let decoded = try? JSONDecoder().decode(String.self, from: Data(encoded))
            #expect(decoded == text)
        }
    }
}
