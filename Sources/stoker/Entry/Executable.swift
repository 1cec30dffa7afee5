import Glibc

/// Our own executable, for the processes that are the same program.
enum Executable {
    /// The path of the file that this process runs; what a later build puts there is what is started next.
    static func path() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else {
            throw CommandFailure(status: .failed, message: "/proc/self/exe cannot be read: /proc has to be mounted")
        }
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // A file that was replaced while it ran.
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(" (deleted)".count)) : path
    }
}
