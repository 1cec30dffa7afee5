import Glibc

/// Whether the user that the daemon runs as may read something, where that is another user than the one who asks: root reads
/// everything, and then the daemon does not.
struct Reader: Sendable, Hashable {
    /// The user's name.
    var name: String
    /// Where the user is at home.
    var home: String?
    private let user: uid_t
    private let groups: Set<gid_t>

    /// A user of this machine; nil where there is none of that name.
    ///
    /// - Parameter groups: Names of groups beside the user's own.
    init?(_ name: String, groups extra: [String] = []) {
        guard let entry = getpwnam(name) else { return nil }
        self.name = name
        user = entry.pointee.pw_uid
        home = String(cString: entry.pointee.pw_dir)
        var count: Int32 = 256
        let own = entry.pointee.pw_gid
        var found = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, own, &found, &count) >= 0 else { return nil }
        groups = Set(found.prefix(Int(count))).union(extra.compactMap { getgrnam($0)?.pointee.gr_gid })
    }

    /// A user by numbers, for tests.
    init(name: String, user: uid_t, groups: Set<gid_t>) {
        (self.name, self.user, self.groups) = (name, user, groups)
    }

    /// The first part of a path that is in the way: a folder that may not be entered, or the file itself; nil where it can
    /// be read, or is not there at all. By modes alone: access control lists are not looked at.
    func obstacle(to path: String) -> String? {
        guard user != 0 else { return nil }
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        var folder = ""
        for part in path.split(separator: "/").dropLast() {
            folder += "/\(part)"
            if stat(folder, &info) == 0, !may(0o1, info) { return folder }
        }
        guard stat(path, &info) == 0 else { return nil }
        let isFolder = info.st_mode & S_IFMT == S_IFDIR
        return may(isFolder ? 0o5 : 0o4, info) ? nil : path
    }

    private func may(_ bits: mode_t, _ info: stat) -> Bool {
        let shift: mode_t = info.st_uid == user ? 6 : groups.contains(info.st_gid) ? 3 : 0
        return info.st_mode >> shift & bits == bits
    }
}
