import Fleet
import FoundationEssentials

/// How long earlier starts took, by provider and model: a value, kept in the state directory. What a start should take
/// is their median: one that had to download or compile first does not count for much.
struct LoadTimes: Sendable, Hashable, Codable {
    /// How many starts of one model are remembered.
    static let most = 9

    private var seconds: [String: [Double]] = [:]

    private static func key(_ provider: String, _ model: String) -> String { "\(provider) \(model)" }

    /// Remembers a start that came to `ready`.
    mutating func add(_ duration: Duration, provider: String, model: String) {
        let key = Self.key(provider, model)
        seconds[key, default: []].append((duration.seconds * 10).rounded() / 10)
        if let count = seconds[key]?.count, count > Self.most { seconds[key]?.removeFirst() }
    }

    /// What a start should take, in seconds, and by how many earlier ones; nil where there were none.
    func estimate(provider: String, model: String) -> (seconds: Double, loads: Int)? {
        guard let known = seconds[Self.key(provider, model)]?.sorted(), !known.isEmpty else { return nil }
        let middle = known.count / 2
        let median = known.count % 2 == 1 ? known[middle] : (known[middle - 1] + known[middle]) / 2
        return (median, known.count)
    }

    /// Reads a file; nothing where it is absent or damaged: it is only ever an estimate.
    static func read(_ path: String) -> LoadTimes {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return LoadTimes() }
        return (try? JSONDecoder().decode(LoadTimes.self, from: data)) ?? LoadTimes()
    }

    /// Keeps it in a file; a disk that cannot take it costs an estimate.
    func write(_ path: String) {
        guard let data = try? JSONEncoder().encode(self) else { return }
        try? data.write(to: URL(filePath: path), options: .atomic)
    }
}
