/// Where an engine keeps what it has of the Hugging Face hub, and whether it may ask for more: by the variables that
/// huggingface_hub reads.
struct HubCache: Sendable, Hashable {
    /// The folder of models.
    var folder: String
    /// Whether nothing is asked of the hub.
    var isOffline: Bool
    /// Whether it has a token to show, for models that want one.
    var hasToken: Bool

    /// What is there of a model.
    enum Found: Sendable, Hashable {
        /// Nothing.
        case nothing
        /// A snapshot's folder.
        case snapshot(String)
    }

    /// - Parameters:
    ///   - environment: The engine's.
    ///   - downloads: `--download-dir`, where it is given.
    init(environment: [String: String], downloads: String?) {
        func value(_ name: String) -> String? {
            guard let text = environment[name], !text.isEmpty else { return nil }
            guard text == "~" || text.hasPrefix("~/") else { return text }
            return (environment["HOME"] ?? "/root") + text.dropFirst()
        }
        let home =
            value("HF_HOME")
            ?? (value("XDG_CACHE_HOME") ?? "\(environment["HOME"] ?? "/root")/.cache") + "/huggingface"
        folder = downloads ?? value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") ?? "\(home)/hub"
        let offline = value("HF_HUB_OFFLINE") ?? value("TRANSFORMERS_OFFLINE") ?? ""
        isOffline = ["1", "ON", "YES", "TRUE"].contains(offline.uppercased())
        hasToken =
            value("HF_TOKEN") != nil || value("HUGGING_FACE_HUB_TOKEN") != nil
            || SystemFile.exists(value("HF_TOKEN_PATH") ?? "\(home)/token")
    }

    /// What is there of a model, by its `organisation/name`.
    ///
    /// - Parameter revision: A branch, a tag or a commit.
    func find(_ model: String, revision: String?) -> Found {
        let folder = "\(folder)/models--\(model.replacing("/", with: "--"))"
        let revision = revision ?? "main"
        let commit = SystemFile.text("\(folder)/refs/\(revision)", limit: 256).map { $0.filter { !$0.isWhitespace } }
        let snapshot = "\(folder)/snapshots/\(commit ?? revision)"
        return FileSystem.isDirectory(snapshot) ? .snapshot(snapshot) : .nothing
    }
}
