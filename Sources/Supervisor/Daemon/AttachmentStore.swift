import Fleet
import FoundationEssentials
import Logging

/// Keeps what was attached at run time, in a file of the state directory. A key is kept by its file's path only.
struct AttachmentStore: Sendable {
    /// One attached instance.
    struct Attachment: Codable, Hashable, Sendable {
        var baseURL: String
        var apiKeyFile: String?
    }

    let path: String
    let logger: Logger

    /// By name. A damaged file is set aside and said.
    func load() -> [String: Attachment] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return [:] }
        if let found = try? JSONDecoder().decode([String: Attachment].self, from: data) { return found }
        let aside = "\(path).damaged"
        try? FileManager.default.removeItem(atPath: aside)
        try? FileManager.default.moveItem(atPath: path, toPath: aside)
        logger.error("the file of attached instances is damaged and was set aside", metadata: ["path": "\(aside)"])
        return [:]
    }

    /// Replaces what is kept.
    func save(_ attachments: [String: Attachment]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try encoder.encode(attachments).write(to: URL(filePath: path), options: .atomic)
    }
}
