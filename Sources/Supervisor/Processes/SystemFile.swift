import Glibc

/// Small files of /proc, /sys and our own, without Foundation: bounded, and never an exception.
enum SystemFile {
    /// The file's bytes, at most `limit` of them; nil when it cannot be read.
    static func bytes(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        while all.count < limit {
            let count = read(fd, &piece, min(piece.count, limit - all.count))
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { break }
            all += piece[0..<count]
        }
        return all
    }

    /// The file as text.
    static func text(_ path: String, limit: Int = 1 << 20) -> String? {
        bytes(path, limit: limit).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Writes in place, for /proc and /sys and empty marks; false and `errno` on failure.
    @discardableResult
    static func write(_ text: String, to path: String) -> Bool {
        let fd = open(path, O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        return Array(text.utf8).withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) } >= 0
    }

    /// Replaces a file by rename, so that a reader and a crash see the old one or the new one; a sentence on failure.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) -> String? {
        let fresh = "\(path).new"
        let fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard fd >= 0 else { return "cannot write \(fresh): \(reason())" }
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                let why = reason()
                close(fd)
                unlink(fresh)
                return "cannot write \(fresh): \(why)"
            }
            offset += count
        }
        fdatasync(fd)
        close(fd)
        guard rename(fresh, path) == 0 else { return "cannot rename \(fresh): \(reason())" }
        return nil
    }

    /// The names in a folder, without `.` and `..`; empty when it cannot be read.
    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes a folder and those above it; a sentence on failure.
    static func makeFolder(_ path: String, mode: mode_t = 0o750) -> String? {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, mode) != 0, errno != EEXIST { return "cannot make \(made): \(reason())" }
        }
        return nil
    }

    /// Whether both paths lead to the same file.
    static func isSame(_ path: String, _ other: String) -> Bool {
        var one = stat()
        var two = stat()
        guard stat(path, &one) == 0, stat(other, &two) == 0 else { return false }
        return one.st_dev == two.st_dev && one.st_ino == two.st_ino
    }

    /// Whether something is there.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The words of `errno`.
    static func reason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
