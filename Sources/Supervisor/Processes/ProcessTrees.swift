import CLinux
import Fleet
import Glibc

/// Where trees are made: in cgroups where this process may make some, else by session. Found out once, at the start.
public struct ProcessTrees: Sendable {
    /// The kinds of trees.
    public enum Kind: Sendable, Hashable {
        /// Instances are sub-cgroups `i-<name>` of this folder.
        case cgroup(base: String)
        /// Sessions, with the reason why not cgroups.
        case session(String)
    }

    /// What is used.
    public let kind: Kind

    /// Trees of one kind; tests force one.
    public init(kind: Kind) { self.kind = kind }

    /// Why trees are not kept by cgroups; nil where they are.
    public var whyNoCgroups: String? {
        if case .session(let why) = kind { return why }
        return nil
    }

    /// For status and logs.
    public var description: String {
        switch kind {
        case .cgroup(let base): return "cgroups in \(base)"
        case .session(let why): return "sessions and /proc (\(why))"
        }
    }

    /// Finds out what this process may use, makes it a subreaper and, in a delegated cgroup, moves it to the
    /// sub-cgroup `supervisor`. Nothing is ever written to `cgroup.subtree_control`.
    ///
    /// - Parameters:
    ///   - runtime: The runtime directory: tells several daemons in one cgroup apart.
    ///   - mounts: `/proc/self/mountinfo`, and
    ///   - membership: `/proc/self/cgroup`; given by tests.
    public static func detect(
        runtime: String, mounts: String? = nil, membership: String? = nil
    ) -> ProcessTrees {
        _ = stoker_become_subreaper()
        let mounts = mounts ?? SystemFile.text("/proc/self/mountinfo") ?? ""
        let membership = membership ?? SystemFile.text("/proc/self/cgroup") ?? ""
        guard let mount = unifiedMount(mounts) else { return ProcessTrees(kind: .session("no cgroup2 is mounted")) }
        guard let own = ownPath(membership) else {
            return ProcessTrees(kind: .session("this process is in no cgroup2"))
        }
        guard let relative = relativePath(own, below: mount.root) else {
            return ProcessTrees(kind: .session("the cgroup \(own) is not visible in \(mount.point)"))
        }
        let folder = mount.point + (relative == "/" ? "" : relative)
        let base: String
        if let unit = delegatedUnit(folder) {
            base = unit
            if unit == folder {
                let home = "\(unit)/supervisor"
                if mkdir(home, 0o755) != 0, errno != EEXIST {
                    return ProcessTrees(kind: .session("\(home) cannot be made: \(SystemFile.reason())"))
                }
                if !SystemFile.write("\(getpid())", to: "\(home)/cgroup.procs") {
                    return ProcessTrees(kind: .session("\(home) cannot be joined: \(SystemFile.reason())"))
                }
            }
        } else {
            // Not given to us by systemd, but ours to write to: a folder of this daemon's own keeps neighbours apart.
            base = "\(folder)/stoker-\(mark(of: runtime))"
            if access("\(folder)/cgroup.procs", W_OK) != 0 {
                return ProcessTrees(kind: .session("\(folder) is not ours: \(SystemFile.reason())"))
            }
            if mkdir(base, 0o755) != 0, errno != EEXIST {
                return ProcessTrees(kind: .session("\(base) cannot be made: \(SystemFile.reason())"))
            }
        }
        if let problem = probe(base) { return ProcessTrees(kind: .session(problem)) }
        return ProcessTrees(kind: .cgroup(base: base))
    }

    /// A fresh tree for an instance; what an earlier run left in its cgroup must have been ended before.
    func make(for instance: String, log: String) -> Result<any ProcessTree, Fault> {
        switch kind {
        case .session: return .success(SessionTree(log: log))
        case .cgroup(let base):
            let path = "\(base)/i-\(instance)"
            // Our own folder goes with the last instance in it.
            mkdir(base, 0o755)
            if mkdir(path, 0o755) != 0, errno != EEXIST {
                return .failure(Fault(kind: "launch", detail: "cannot make the cgroup \(path): \(SystemFile.reason())"))
            }
            return .success(CgroupTree(path: path))
        }
    }

    /// The cgroup that an instance of this name would have, if there is one already.
    func existing(for instance: String) -> CgroupTree? {
        guard case .cgroup(let base) = kind, SystemFile.exists("\(base)/i-\(instance)") else { return nil }
        return CgroupTree(path: "\(base)/i-\(instance)")
    }

    /// The names of all instances that have a cgroup here.
    func existingNames() -> [String] {
        guard case .cgroup(let base) = kind else { return [] }
        return SystemFile.names(in: base).filter { $0.hasPrefix("i-") }.map { String($0.dropFirst(2)) }
    }

    /// Whether a recorded folder is one that this daemon would have made.
    func owns(_ folder: String) -> Bool {
        guard case .cgroup(let base) = kind else { return false }
        return folder.hasPrefix("\(base)/i-") && !folder.contains("/..")
    }

    /// Tries what will be needed: a sub-cgroup that can be made and joined; nil when all of it works.
    private static func probe(_ base: String) -> String? {
        let path = "\(base)/i-.probe"
        if mkdir(path, 0o755) != 0, errno != EEXIST { return "\(path) cannot be made: \(SystemFile.reason())" }
        defer {
            rmdir(path)
            CgroupTree.removeBase(of: path)
        }
        if access("\(path)/cgroup.procs", W_OK) != 0 { return "\(path) cannot be joined: \(SystemFile.reason())" }
        if access("\(base)/cgroup.procs", W_OK) != 0 { return "\(base) is not ours: \(SystemFile.reason())" }
        return nil
    }

    /// The unit's cgroup where systemd has delegated it to us: marked by an extended attribute; or the parent, where
    /// this process (or the one whose place it took) has moved already.
    private static func delegatedUnit(_ folder: String) -> String? {
        // `.control` is where systemd runs ExecStopPost= of a delegated unit.
        for home in ["/supervisor", "/.control"] where folder.hasSuffix(home) {
            let parent = String(folder.dropLast(home.count))
            if isDelegated(parent) { return parent }
        }
        return isDelegated(folder) ? folder : nil
    }

    private static func isDelegated(_ folder: String) -> Bool {
        let marks: [String] = ["user.delegate", "trusted.delegate"]
        return marks.contains {
            stoker_attribute_begins(folder, $0, CChar(bitPattern: UInt8(ascii: "1"))) != 0
        }
    }

    /// The mount of cgroup2: its root within the hierarchy, and its mount point.
    static func unifiedMount(_ mountinfo: String) -> (root: String, point: String)? {
        for line in mountinfo.split(separator: "\n") {
            let halves = line.split(separator: " - ", maxSplits: 1)
            guard halves.count == 2, halves[1].hasPrefix("cgroup2 ") else { continue }
            let fields = halves[0].split(separator: " ")
            guard fields.count >= 5 else { continue }
            return (String(fields[3]), String(fields[4]))
        }
        return nil
    }

    /// This process's place in cgroup2: the line `0::/path`.
    static func ownPath(_ membership: String) -> String? {
        for line in membership.split(separator: "\n") where line.hasPrefix("0::/") { return String(line.dropFirst(3)) }
        return nil
    }

    static func relativePath(_ own: String, below root: String) -> String? {
        if root == "/" { return own }
        if own == root { return "/" }
        return own.hasPrefix(root + "/") ? String(own.dropFirst(root.count)) : nil
    }

    /// A short stable mark of a path (FNV-1a), in hexadecimal.
    private static func mark(of path: String) -> String {
        var hash: UInt32 = 2_166_136_261
        for byte in path.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return String(hash, radix: 16)
    }
}
