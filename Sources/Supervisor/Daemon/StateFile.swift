import Fleet
import Glibc

/// A small file that the next life of the daemon needs. Its place is the state directory; where that cannot be written
/// (full, read-only), the runtime directory keeps it meanwhile, which outlives a crash and a reload, not a stop.
struct StateFile: Sendable {
    /// Its place.
    let path: String
    /// Its place meanwhile; nil for none.
    let spare: String?

    /// A file with a place in each directory.
    init(path: String, spare: String?) {
        self.path = path
        self.spare = spare
    }

    /// A file directly in the state directory.
    init(_ name: String, in directories: Directories) {
        self.init(path: "\(directories.state)/\(name)", spare: "\(directories.runtime)/kept-\(name)")
    }

    /// What was kept last; nil where there is nothing.
    func read(limit: Int = 4 << 20) -> [UInt8]? {
        // It is there only as long as it is the newer one.
        if let spare, let bytes = SystemFile.bytes(spare, limit: limit) { return bytes }
        return SystemFile.bytes(path, limit: limit)
    }

    /// Keeps it; a sentence where neither place takes it.
    @discardableResult
    func write(_ bytes: [UInt8]) -> String? {
        guard let problem = SystemFile.replace(path, with: bytes) else {
            if let spare { unlink(spare) }
            return nil
        }
        guard let spare, SystemFile.replace(spare, with: bytes) == nil else { return problem }
        return nil
    }

    /// Forgets it.
    func remove() {
        unlink(path)
        if let spare { unlink(spare) }
    }
}
