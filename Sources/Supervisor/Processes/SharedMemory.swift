import Glibc

/// Segments in /dev/shm that a dead tree has left.
enum SharedMemory {
    /// Removes those of the segments that no living process has mapped: a neighbour may share one by intent.
    ///
    /// - Returns: What was removed.
    @discardableResult
    static func remove(_ segments: Set<String>) -> [String] {
        var left = segments.filter { $0.hasPrefix("/dev/shm/") && SystemFile.exists($0) }
        guard !left.isEmpty else { return [] }
        for name in SystemFile.names(in: "/proc") {
            guard let pid = Int32(name), pid != getpid() else { continue }
            left.subtract(ProcessTable.sharedMemory(pid))
            if left.isEmpty { return [] }
        }
        return left.filter { unlink($0) == 0 }.sorted()
    }
}
