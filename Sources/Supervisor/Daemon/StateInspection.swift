import Fleet
import FoundationEssentials
import Glibc

/// Looks at what an earlier life has kept before any of it is believed: what is corrupt, or somebody else's, is set aside
/// under another name, and said so. It is never trusted, and never in the way either.
struct StateInspection {
    private let directories: Directories
    private let user: uid_t

    /// - Parameter user: Whose files are ours, beside root's.
    init(_ directories: Directories, user: uid_t = geteuid()) {
        self.directories = directories
        self.user = user
    }

    /// Sets aside what cannot be trusted; a sentence for each.
    func run() -> [String] {
        let state = directories.state
        var problems: [String] = []
        func inspect(_ file: StateFile, _ lost: String, _ isSound: ([UInt8]) -> Bool) {
            for path in [file.path, file.spare].compactMap({ $0 }) {
                if let problem = self.inspect(path, lost, isSound) { problems.append(problem) }
            }
        }
        func decodes<Value: Decodable>(_ type: Value.Type) -> ([UInt8]) -> Bool {
            { (try? JSONDecoder().decode(type, from: Data($0))) != nil }
        }
        let records = InstanceFiles(directories)
        for key in records.names() {
            inspect(records.file(key), "what was launched by it is ended and started anew") {
                InstanceFiles.record($0, key: key) != nil
            }
        }
        inspect(
            StateFile("gateway.json", in: directories), "a gateway that it told of is not taken over",
            decodes(GatewayPredecessor.Record.self))
        inspect(
            StateFile(path: "\(state)/attached.json", spare: nil),
            "servers attached at run time are to be attached again",
            decodes([String: AttachmentStore.Attachment].self))
        inspect(
            StateFile(path: "\(state)/wishes.json", spare: nil), "what was stopped or drained by hand is started again",
            decodes([String: OperatorCommand].self))
        inspect(
            StateFile("memories.json", in: directories),
            "restarts are counted from nought, and what was given up is started",
            decodes(InstanceMemories.Kept.self))
        inspect(
            StateFile(path: "\(state)/known-models.json", spare: nil), "models are known again once they are served",
            decodes([String: Set<String>].self))
        inspect(
            StateFile("epoch", in: directories), "a new one begins",
            { UInt64(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) != nil })
        return problems
    }

    private func inspect(_ path: String, _ lost: String, _ isSound: ([UInt8]) -> Bool) -> String? {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        let why: String
        if info.st_mode & S_IFMT != S_IFREG {
            why = "is no file"
        } else if info.st_uid != user, info.st_uid != 0 {
            why = "belongs to user \(info.st_uid)"
        } else if let bytes = SystemFile.bytes(path, limit: 4 << 20) {
            if isSound(bytes) { return nil }
            why = "is corrupt"
        } else {
            why = "cannot be read (\(SystemFile.reason()))"
        }
        let aside = "\(path).set-aside"
        unlink(aside)
        let isAside = rename(path, aside) == 0
        let done = isAside ? "was set aside as \(aside)" : "could not be set aside (\(SystemFile.reason()))"
        return "\(path) \(why) and \(done): \(lost)"
    }
}
