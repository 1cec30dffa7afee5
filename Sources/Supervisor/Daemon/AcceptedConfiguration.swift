import Fleet
import FoundationEssentials
import Glibc

/// The last configuration file that was accepted, kept in the state directory with mode 0600: a supervisor that is
/// started again beside living engines goes on by it when the file has become invalid meanwhile.
struct AcceptedConfiguration: Sendable {
    /// What STATUS and status say meanwhile.
    static let notice = "the configuration file is invalid, the last accepted one is in use ('stoker check' shows why)"

    private let path: String
    private let directories: Directories

    init(_ directories: Directories) {
        self.directories = directories
        path = "\(directories.state)/accepted.yaml"
    }

    /// Keeps the text of what was accepted. Nothing is kept where the environment stands alone; a disk that cannot take it
    /// is no reason not to run.
    func keep(_ loaded: ConfigurationSource.Loaded) {
        guard loaded.configuration != nil, let text = loaded.text else { return _ = unlink(path) }
        _ = SystemFile.replace(path, with: Array(text.utf8))
    }

    /// The configuration to go on by, where something that an earlier life started still runs; nil where nothing does, or
    /// where the kept one cannot be used either.
    func configurationInNeed(of source: ConfigurationSource) -> Configuration? {
        isSomethingLeft ? self.configuration(of: source) : nil
    }

    /// The kept configuration, with the environment; nil where there is none, or it cannot be used.
    func configuration(of source: ConfigurationSource) -> Configuration? {
        text.flatMap { source.load(instead: $0, from: path).configuration }
    }

    /// Its text.
    var text: String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private var isSomethingLeft: Bool {
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
