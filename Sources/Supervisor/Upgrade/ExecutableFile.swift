import Glibc

/// The file of our own program: where it is looked for, and whether what is there now is another one than runs.
public struct ExecutableFile: Sendable, Hashable {
    /// What runs in this process, whatever becomes of the path: what is started from here is of our own build.
    public static let running = "/proc/self/exe"

    /// Where a later build is put, by the name that this process was started with: a link stays a link.
    public let path: String
    private let began: Identity?

    /// Which file, with which content, as far as can be told without reading it.
    private struct Identity: Sendable, Hashable {
        var device: dev_t
        var inode: ino_t
        var size: off_t
        var seconds: Int
        var nanoseconds: Int
    }

    /// Ours, from now on.
    ///
    /// - Parameter name: `argv[0]`; where it does not lead to the file that runs, /proc says where that is.
    public init(startedAs name: String?) {
        self.init(path: Self.path(startedAs: name), running: Self.running)
    }

    /// A path, and the file that runs.
    init(path: String, running: String) {
        self.path = path
        began = Self.identity(running)
    }

    /// Whether another file is at the path than the one that runs: also one that was written over it. Nothing at all
    /// there is no other program.
    public var isReplaced: Bool {
        guard let began, let now = Self.identity(path) else { return false }
        return now != began
    }

    private static func identity(_ path: String) -> Identity? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        return Identity(
            device: info.st_dev, inode: info.st_ino, size: info.st_size, seconds: info.st_mtim.tv_sec,
            nanoseconds: info.st_mtim.tv_nsec)
    }

    private static func path(startedAs name: String?) -> String {
        if let name, let found = EngineInterpreter.resolve(name, path: getenv("PATH").map { String(cString: $0) }),
            SystemFile.isSame(found, running)
        {
            return absolute(found)
        }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(running, &buffer, buffer.count - 1)
        guard count > 0 else { return running }
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // A file that was replaced while it ran.
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(" (deleted)".count)) : path
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return "\(String(cString: folder))/\(path)"
    }
}
