/// Finds what was meant by a word that is not known.
enum EditDistance {
    /// The number of letters to insert, delete, replace or swap with their neighbour to make one word of the other.
    static func between(_ left: String, _ right: String) -> Int {
        let left = Array(left.unicodeScalars)
        let right = Array(right.unicodeScalars)
        if left.isEmpty || right.isEmpty { return max(left.count, right.count) }
        var beforePrevious = [Int](repeating: 0, count: right.count + 1)
        var previous = Array(0...right.count)
        for i in 1...left.count {
            var row = [Int](repeating: i, count: right.count + 1)
            for j in 1...right.count {
                let cost = left[i - 1] == right[j - 1] ? 0 : 1
                row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
                if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                    row[j] = min(row[j], beforePrevious[j - 2] + 1)
                }
            }
            (beforePrevious, previous) = (previous, row)
        }
        return previous[right.count]
    }

    /// The candidate nearest to a word, if it is near enough to have been meant: a third of its letters may be wrong.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        guard word.unicodeScalars.count <= 64 else { return nil }
        func folded(_ text: String) -> String {
            String(text.lowercased().map { $0 == "-" || $0 == "_" ? "_" : $0 })
        }
        let wanted = folded(word)
        // `apiKey` and `api-key` are `api_key` to everyone but a parser.
        func squeezed(_ text: String) -> String { folded(text).filter { $0 != "_" } }
        var best: (candidate: String, distance: Int)?
        for candidate in candidates.sorted() {
            let distance =
                squeezed(candidate) == squeezed(word) ? 0 : between(wanted, folded(candidate))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance <= max(1, min(word.count, best.candidate.count) / 3) else { return nil }
        return best.candidate
    }
}
