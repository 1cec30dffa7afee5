import Foundation

@testable import Gateway

/// The model scanner sees what a real parser sees, however the bytes are cut.
enum ScannerProperty {
    /// What the scanner says of a body in these pieces.
    struct Outcome: Equatable {
        var failure: JSONFailure?
        var model: ModelScanner.Place?
        var previous: ModelScanner.Place?
    }

    static func scan(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        var scanner = ModelScanner()
        for piece in pieces { withView(Array(piece)) { _ = scanner.feed($0) } }
        let failure = scanner.finish()
        if let failure { return Outcome(failure: failure) }
        return Outcome(model: scanner.model, previous: scanner.previousResponse)
    }

    /// The text of a string value that the scanner has found.
    static func text(_ place: ModelScanner.Place, in bytes: [UInt8]) -> [UInt8] {
        let inner = Array(bytes[(place.start + 1)..<(place.end - 1)])
        return withView(inner) { view in
            [UInt8](unsafeUninitializedCapacity: inner.count + 4) { buffer, count in
                count = JSONString.unescape(view, into: buffer.baseAddress!)
            }
        }
    }

    static func check(_ bytes: [UInt8]) -> String? {
        let whole = scan([bytes[...]])
        for split in FuzzTarget.splits(bytes) {
            let cut = scan([bytes[..<split], bytes[split...]])
            if cut != whole { return "cut at \(split): \(cut), whole: \(whole)" }
        }
        let single = scan(bytes.indices.map { bytes[$0...$0] })
        if single != whole { return "byte by byte: \(single), whole: \(whole)" }
        return compare(whole, bytes) ?? compareWithFoundation(whole, bytes)
    }

    private static func compare(_ ours: Outcome, _ bytes: [UInt8]) -> String? {
        guard let members = NaiveJSON.members(bytes) else {
            return ours.failure == nil ? "we accept what is no JSON object of 128 levels" : nil
        }
        let models = members.filter { $0.key == Array("model".utf8) }
        let isFine = models.count < 2 && models.allSatisfy { if case .string = $0.value { true } else { false } }
        if let failure = ours.failure {
            if isFine { return "we refuse a good body: \(failure)" }
            // Which of two faults is met first decides which is said.
            return failure == .duplicateModel || failure == .modelNotString ? nil : "refused, but as \(failure)"
        }
        guard isFine else { return "we accept \(models.count) models: \(models)" }
        let model = ours.model.map { NaiveJSON.Value.string(text($0, in: bytes)) }
        if model != models.first?.value { return "model \(String(describing: model)), is \(models)" }
        let previous = members.last {
            if case .string = $0.value { $0.key == Array("previous_response_id".utf8) } else { false }
        }
        let found = ours.previous.map { NaiveJSON.Value.string(text($0, in: bytes)) }
        return found == previous?.value ? nil : "previous_response_id differs"
    }

    /// Foundation's parser accepts what we accept and finds the same model. It forgives more (a comma at an array's
    /// end), so that the other direction is the plain parser's.
    private static func compareWithFoundation(_ ours: Outcome, _ bytes: [UInt8]) -> String? {
        guard ours.failure == nil, bytes.count < 4096 else { return nil }
        let object = try? JSONSerialization.jsonObject(with: Data(bytes))
        guard let members = object as? [String: Any] else {
            // It refuses halves of surrogates and numbers beyond a double's range, which the grammar has.
            let isKnown = bytes.contains { $0 == 0x5c } || bytes.contains { $0 | 0x20 == 0x65 } || bytes.count > 300
            return isKnown ? nil : "Foundation does not take it"
        }
        guard let place = ours.model else { return nil }
        let model = String(decoding: text(place, in: bytes), as: UTF8.self)
        return members["model"] as? String == model ? nil : "Foundation's model: \(members["model"] ?? "none")"
    }
}
