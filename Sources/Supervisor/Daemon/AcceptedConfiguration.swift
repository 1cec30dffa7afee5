import Fleet
import FoundationEssentials
import Glibc

/// The last configuration file that was accepted, kept in the state directory with mode 0600, and what the files with keys
/// held that it names: a supervisor that is started again beside living engines goes on by it when the file has become
/// invalid meanwhile, or a key's file is gone.
struct AcceptedConfiguration: Sendable {
    /// What STATUS and status say meanwhile.
    static func notice(_ file: String?) -> String {
        let check = "stoker check" + (file.map { " --config \($0)" } ?? "")
        return "the configuration file is invalid, the last accepted one is in use ('\(check)' shows why)"
    }

    private let path: String
    private let keysPath: String
    private let earlierPath: String
    /// The most texts that are kept beside the last one.
    private static let mostEarlier = 4
    private let directories: Directories

    init(_ directories: Directories) {
        self.directories = directories
        path = "\(directories.state)/accepted.yaml"
        keysPath = "\(directories.state)/accepted-keys.json"
        earlierPath = "\(directories.state)/accepted-earlier.json"
    }

    /// Keeps the text of what was accepted. Nothing is kept where the environment stands alone; a disk that cannot take it
    /// is no reason not to run.
    func keep(_ loaded: ConfigurationSource.Loaded) {
        guard loaded.configuration != nil, let text = loaded.text else {
            unlink(path)
            unlink(keysPath)
            return
        }
        _ = SystemFile.replace(path, with: Array(text.utf8))
        if let keys = try? JSONEncoder().encode(loaded.keys) { _ = SystemFile.replace(keysPath, with: Array(keys)) }
    }

    /// Keeps the text before a configuration that is about to be applied: until all of it is applied, instances may run by
    /// either. ``keep(_:)`` comes next.
    func begin(_ loaded: ConfigurationSource.Loaded) {
        guard let text, text != loaded.text else { return }
        let texts = [text] + earlierTexts.prefix(Self.mostEarlier - 1)
        if let data = try? JSONEncoder().encode(texts) { _ = SystemFile.replace(earlierPath, with: Array(data)) }
    }

    /// All of the last one is applied.
    func settle() { unlink(earlierPath) }

    /// Configurations of which a part may still be in charge of an instance, the newest first.
    func earlierConfigurations(of source: ConfigurationSource) -> [Configuration] {
        earlierTexts.compactMap { source.load(instead: $0, from: earlierPath, keys: keys).configuration }
    }

    private var earlierTexts: [String] {
        guard let bytes = SystemFile.bytes(earlierPath, limit: 16 << 20) else { return [] }
        return (try? JSONDecoder().decode([String].self, from: Data(bytes))) ?? []
    }

    /// What was in charge when the supervisor before this one was lost, where something of it still runs and it is not
    /// what is configured now: what runs is taken over as it is, and the difference is a reload's.
    func inCharge(insteadOf loaded: ConfigurationSource.Loaded, of source: ConfigurationSource) -> ConfigurationSource
        .Loaded?
    {
        guard loaded.configuration != nil, let file = loaded.file, let text, isSomethingLeft else { return nil }
        let keys = keys
        guard text != loaded.text || keys != loaded.keys else { return nil }
        let kept = source.load(instead: text, from: file, keys: keys)
        return kept.configuration == nil ? nil : kept
    }

    /// The configuration to go on by, where something that an earlier life started still runs; nil where nothing does, or
    /// where the kept one cannot be used either.
    func configurationInNeed(of source: ConfigurationSource) -> Configuration? {
        isSomethingLeft ? self.configuration(of: source) : nil
    }

    /// The kept configuration, with the environment; nil where there is none, or it cannot be used.
    func configuration(of source: ConfigurationSource) -> Configuration? {
        text.flatMap { source.load(instead: $0, from: path, keys: keys).configuration }
    }

    private var keys: [String: String] {
        guard let bytes = SystemFile.bytes(keysPath, limit: 1 << 20) else { return [:] }
        return (try? JSONDecoder().decode([String: String].self, from: Data(bytes))) ?? [:]
    }

    /// Its text.
    var text: String? { try? String(contentsOfFile: path, encoding: .utf8) }

    /// Whether something that an earlier life started still runs: then a start goes on in spite of what is wrong.
    var isSomethingLeft: Bool {
        if GatewayPredecessor.find(StateFile("gateway.json", in: directories)) != nil { return true }
        let files = InstanceFiles(directories)
        return files.names().contains { name in
            guard let file = files.read(name), file.boot == ProcessTable.bootID, let head = file.head,
                let entry = ProcessTable.entry(head.pid)
            else { return false }
            return entry.started == head.started && !entry.isZombie
        }
    }
}
