import Fleet
import FoundationEssentials
import Glibc

/// The folder of ``InstanceFile``s. A file that cannot be read is never trusted (``StateInspection`` sets it aside); where
/// the folder cannot be written, the runtime directory keeps records meanwhile.
struct InstanceFiles: Sendable {
    /// The folder.
    let folder: String
    /// The folder of logs: their names tell the last run where the record is lost.
    let logs: String
    /// Where a record is while the folder cannot be written; nil for nowhere.
    let spare: String?

    /// Records in a folder of its own choice; tests.
    init(folder: String, logs: String, spare: String? = nil) {
        self.folder = folder
        self.logs = logs
        self.spare = spare
    }

    /// A daemon's records.
    init(_ directories: Directories) {
        self.init(
            folder: directories.instances, logs: directories.logs, spare: "\(directories.runtime)/instances")
    }

    /// The file of a record.
    func file(_ key: String) -> StateFile {
        StateFile(path: "\(folder)/\(key).json", spare: spare.map { "\($0)/\(key).json" })
    }

    /// The record that is kept by a key (``InstancePlan/key``); nil where there is none that can be trusted.
    func read(_ key: String) -> InstanceFile? {
        guard let bytes = file(key).read() else { return nil }
        return Self.record(bytes, key: key)
    }

    /// A record from a file's bytes; nil where it is none, or another's.
    static func record(_ bytes: [UInt8], key: String) -> InstanceFile? {
        guard let file = try? JSONDecoder().decode(InstanceFile.self, from: Data(bytes)), file.version == 1,
            file.key == key
        else { return nil }
        return file
    }

    /// Keeps a record; a sentence when it cannot be kept.
    @discardableResult
    func write(_ file: InstanceFile) -> String? {
        let problem = SystemFile.makeFolder(folder, mode: 0o700)
        if let spare, problem != nil || !SystemFile.exists(spare) { _ = SystemFile.makeFolder(spare, mode: 0o700) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(file) else { return "the record of \(file.instance) cannot be encoded" }
        return self.file(file.key).write(Array(data))
    }

    /// The keys of all records.
    func names() -> [String] {
        let found = [folder, spare].compactMap { $0 }.flatMap { SystemFile.names(in: $0) }
        return Set(found.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }).sorted()
    }

    /// The last run that was ever used, from the record or, where it is lost, from the logs.
    func lastRun(_ instance: String) -> UInt64 {
        let logged =
            SystemFile.names(in: "\(logs)/\(instance)")
            .filter { $0.hasSuffix(".log") }.compactMap { UInt64($0.dropLast(4)) }.max() ?? 0
        return (0...1).compactMap { read(InstancePlan.key(instance, slot: $0))?.run }.reduce(logged, max)
    }
}
