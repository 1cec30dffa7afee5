extension KeyDescription {
    /// What is expected, for a message.
    var expectation: String {
        switch kind {
        case .boolean: return "true or false"
        case .integer(let range): return "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .duration(let range):
            let low = range.lowerBound == .zero ? "0" : range.lowerBound.configurationText
            return "a duration from \(low) to \(range.upperBound.configurationText), such as \(example)"
        case .durationRange: return "a range of durations such as \(example)"
        case .budget: return "a number of restarts in a time, such as \(example)"
        case .size(let range):
            return "a size from \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound))"
        case .choice(let words): return words.count == 1 ? words[0] : "one of \(words.joined(separator: ", "))"
        case .text: return "a text such as \(example)"
        case .path: return "a file's path such as \(example)"
        case .url: return "a URL such as \(example)"
        case .addresses: return "an address such as 127.0.0.1:8080, or a list of them"
        case .texts: return "a list such as \(example)"
        case .gpus: return "a number of GPUs, or a list of indices or UUIDs such as \(example)"
        case .environment: return "names and values such as \(example)"
        case .secret: return "a text"
        }
    }
}
