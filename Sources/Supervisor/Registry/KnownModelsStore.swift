import FoundationEssentials
import Logging

/// Keeps model ids that were seen, so that a restarted daemon answers 503, not 404, for what it served before.
public struct KnownModelsStore: Sendable {
    private let path: String
    private let logger: Logger

    /// A store in this file.
    public init(path: String, logger: Logger) {
        self.path = path
        self.logger = logger
    }

    /// What was kept; nothing where the file is absent or damaged.
    func load() -> [String: Set<String>] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return [:] }
        return (try? JSONDecoder().decode([String: Set<String>].self, from: data)) ?? [:]
    }

    /// Keeps these. A disk that cannot take them is logged and costs nothing else.
    func save(_ known: [String: Set<String>]) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try encoder.encode(known).write(to: URL(filePath: path), options: .atomic)
        } catch {
            logger.warning("known models cannot be kept", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }
}
