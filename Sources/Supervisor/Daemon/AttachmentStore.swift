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

    /// The file that daemons with these directories keep.
    init(_ directories: Directories) { path = "\(directories.state)/attached.json" }

    /// What a configuration names that was attached at run time, too: names are unique. A sentence each, with what to do.
    static func clashes(of names: some Collection<String>, with configuration: Configuration) -> [String: String] {
        var found: [String: String] = [:]
        for provider in configuration.providers {
            for name in Set(provider.instanceNames + [provider.name]) where names.contains(name) {
                found[name] =
                    "\(name) was attached at run time, and provider \(provider.name) of the configuration needs its name: "
                    + "'stoker detach \(name)' first, or give the provider another name"
            }
        }
        return found
    }

    /// The same as lines, in order of names; nil where nothing clashes.
    static func clashText(of names: some Collection<String>, with configuration: Configuration) -> String? {
        let found = clashes(of: names, with: configuration).sorted { $0.key < $1.key }.map(\.value)
        return found.isEmpty ? nil : found.joined(separator: "\n")
    }

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
