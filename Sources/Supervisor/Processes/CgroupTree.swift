import Glibc

/// A tree that is a cgroup (version 2): nothing can leave it by itself, and it dies as one.
///
/// No controller is ever enabled for it (docs: SYSTEMD), so `cgroup.kill`, `cgroup.events` and `cgroup.procs` are all
/// that is used of it.
struct CgroupTree: ProcessTree {
    /// The cgroup's folder.
    let path: String

    var description: String { "cgroup \(path)" }
    var joinFile: String? { "\(path)/cgroup.procs" }
    var folder: String? { path }

    func begin(head: Int32, started: UInt64) {}

    func members() -> [ProcessTable.Entry] {
        pids(path, depth: 0).compactMap { ProcessTable.entry($0) }.filter { !$0.isZombie }
    }

    func isEmpty() -> Bool {
        guard let events = SystemFile.text("\(path)/cgroup.events") else { return members().isEmpty }
        return events.contains("populated 0")
    }

    private func pids(_ folder: String, depth: Int) -> [Int32] {
        let text = SystemFile.text("\(folder)/cgroup.procs") ?? ""
        var pids = text.split(separator: "\n").compactMap { Int32($0) }
        if depth < 8 {
            for name in children(folder) { pids += self.pids("\(folder)/\(name)", depth: depth + 1) }
        }
        return pids
    }

    private func children(_ folder: String) -> [String] {
        SystemFile.names(in: folder).filter { name in
            var info = stat()
            return lstat("\(folder)/\(name)", &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
        }
    }

    func kill() {
        if SystemFile.write("1", to: "\(path)/cgroup.kill") { return }
        // Older than Linux 5.14: one by one; the caller repeats until nothing is left.
        for member in members() { Glibc.kill(member.pid, SIGKILL) }
    }

    func oomKills() -> Int? {
        // Only where the memory controller happens to be enabled above us.
        guard let text = SystemFile.text("\(path)/memory.events") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("oom_kill ") { return Int(line.dropFirst(9)) }
        return nil
    }

    func remove() {
        remove(path, depth: 0)
        Self.removeBase(of: path)
    }

    /// Removes the folder around an instance's cgroup with the last of them, where it is of our making: a delegated
    /// unit's own cgroup is systemd's. Fails, as it should, while anything is in it.
    static func removeBase(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let base = path[..<slash]
        if base.split(separator: "/").last?.hasPrefix("stoker-") == true { removeFolder(String(base)) }
    }

    /// The kernel lets go of a cgroup some moments after its last process: tried again for a short while; what stays is
    /// empty and used again.
    private static func removeFolder(_ path: String) {
        for _ in 0..<20 {
            if rmdir(path) == 0 || errno != EBUSY { return }
            if SystemFile.text("\(path)/cgroup.events")?.contains("populated 1") == true { return }
            usleep(20_000)
        }
    }

    private func remove(_ folder: String, depth: Int) {
        if depth < 8 { for name in children(folder) { remove("\(folder)/\(name)", depth: depth + 1) } }
        Self.removeFolder(folder)
    }
}
