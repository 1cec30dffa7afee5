/// Who may read weights now, and who comes next: a value. Several servers that read at once share a disk's bandwidth, and
/// none of them is ready before all are.
struct StartTurns: Sendable, Hashable {
    /// How many at one time; 0 is no limit.
    var limit: Int
    private var reading: [String] = []
    private var waiting: [String] = []

    /// Nobody reads.
    init(limit: Int) { self.limit = limit }

    /// Takes a turn in the order of asking; or says whose end is waited for.
    mutating func take(_ name: String) -> String? {
        if reading.contains(name) { return nil }
        if !waiting.contains(name) { waiting.append(name) }
        let place = waiting.firstIndex(of: name) ?? 0
        guard limit == 0 || reading.count + place < limit else { return reading.first ?? waiting.first }
        waiting.removeAll { $0 == name }
        reading.append(name)
        return nil
    }

    /// It has read them, or does not want to any more.
    mutating func end(_ name: String) {
        reading.removeAll { $0 == name }
        waiting.removeAll { $0 == name }
    }
}
