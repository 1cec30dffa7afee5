import Fleet
import FoundationEssentials

/// Keeps what was attached at run time, in a file of the state directory. A key is kept by its file's path only.
struct AttachmentStore: Sendable {
    /// One attached instance.
    struct Attachment: Codable, Hashable, Sendable {
        var baseURL: String
        var apiKeyFile: String?
    }

    let path: String

    /// By name; nothing where there is no file that can be read.
    func load() -> [String: Attachment] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return [:] }
        return (try? JSONDecoder().decode([String: Attachment].self, from: data)) ?? [:]
    }

    /// Replaces what is kept.
    func save(_ attachments: [String: Attachment]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try encoder.encode(attachments).write(to: URL(filePath: path), options: .atomic)
    }
}
