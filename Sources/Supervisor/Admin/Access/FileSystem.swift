import Glibc

/// The few file system calls that the admin side and the preflight share.
enum FileSystem {
    /// Makes a directory and those above it; true when it is there afterwards, else false and `errno`.
    static func makeDirectory(_ path: String, mode: mode_t) -> Bool {
        if isDirectory(path) { return true }
        guard let slash = path.lastIndex(of: "/"), path.count > 1 else { return false }
        let above = String(path[..<slash])
        if !above.isEmpty, !makeDirectory(above, mode: 0o755) { return false }
        return mkdir(path, mode) == 0 || (errno == EEXIST && isDirectory(path))
    }

    /// Whether a directory is there.
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The nearest directory above a path that exists.
    static func nearestExisting(_ path: String) -> String {
        var path = path
        while !isDirectory(path), let slash = path.lastIndex(of: "/"), path != "/" {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        return path
    }
}
