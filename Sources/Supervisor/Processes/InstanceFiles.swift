import Fleet
import FoundationEssentials
import Glibc

/// The folder of ``InstanceFile``s. A file that cannot be read is set aside and said so, never trusted; a folder that
/// cannot be written costs the next life what it would have known, never this one its work.
struct InstanceFiles: Sendable {
    /// The folder.
    let folder: String
    /// The folder of logs: their names tell the last run where the record is lost.
    let logs: String

    private func path(_ key: String) -> String { "\(folder)/\(key).json" }

    /// The record that is kept by a key (``InstancePlan/key``); nil where there is none that can be trusted.
    func read(_ key: String) -> InstanceFile? {
        let path = path(key)
        guard let bytes = SystemFile.bytes(path, limit: 4 << 20) else { return nil }
        guard let file = try? JSONDecoder().decode(InstanceFile.self, from: Data(bytes)), file.version == 1,
            file.key == key
        else {
            rename(path, "\(path).unreadable")
            return nil
        }
        return file
    }

    /// Keeps a record; a sentence when it cannot be kept.
    @discardableResult
    func write(_ file: InstanceFile) -> String? {
        if let problem = SystemFile.makeFolder(folder, mode: 0o700) { return problem }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(file) else { return "the record of \(file.instance) cannot be encoded" }
        return SystemFile.replace(path(file.key), with: Array(data))
    }

    /// The keys of all records.
    func names() -> [String] {
        SystemFile.names(in: folder).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
    }

    /// The last run that was ever used, from the record or, where it is lost, from the logs.
    func lastRun(_ instance: String) -> UInt64 {
        let logged =
            SystemFile.names(in: "\(logs)/\(instance)")
            .filter { $0.hasSuffix(".log") }.compactMap { UInt64($0.dropLast(4)) }.max() ?? 0
        return (0...1).compactMap { read(InstancePlan.key(instance, slot: $0))?.run }.reduce(logged, max)
    }
}
