import Glibc

/// Small files of /proc, /sys and our own, without Foundation: bounded, and never an exception.
enum SystemFile {
    /// The file's bytes, at most `limit` of them; nil when it cannot be read.
    static func bytes(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        SpareDescriptor.lend { bytesNow(path, limit: limit) }
    }

    private static func bytesNow(_ path: String, limit: Int) -> [UInt8]? {
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
        let isWritten: Bool? = SpareDescriptor.lend {
            let fd = open(path, O_WRONLY | O_CLOEXEC)
            guard fd >= 0 else { return nil }
            let count = Array(text.utf8).withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            let error = errno
            close(fd)
            errno = error
            return count >= 0
        }
        return isWritten ?? false
    }

    /// Replaces a file by rename, so that a reader and a crash see the old one or the new one; a sentence on failure.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) -> String? {
        let fresh = "\(path).new"
        let outcome: String?? = SpareDescriptor.lend {
            let fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
            return fd < 0 ? nil : .some(fill(fd, fresh, path, bytes))
        }
        return outcome ?? "cannot write \(fresh): \(reason())"
    }

    private static func fill(_ fd: Int32, _ fresh: String, _ path: String, _ bytes: [UInt8]) -> String? {
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
    static func names(in folder: String) -> [String] { SpareDescriptor.lend { namesNow(in: folder) } ?? [] }

    private static func namesNow(in folder: String) -> [String]? {
        guard let directory = opendir(folder) else { return nil }
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

    /// Where a symbolic link leads; nil where there is none.
    static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Bytes that may still be written where a path is; nil where that cannot be told.
    static func freeBytes(at path: String) -> UInt64? {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { return nil }
        return UInt64(info.f_bavail) &* UInt64(info.f_frsize)
    }

    /// Whether something is there.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The words of `errno`.
    static func reason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
