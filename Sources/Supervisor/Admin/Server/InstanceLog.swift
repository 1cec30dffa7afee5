import Glibc

/// An instance's log, open for reading. Its head may have been released by punching a hole: what is left begins at
/// ``firstByte``, and offsets stay what they were.
final class InstanceLog: Sendable {
    /// `SEEK_DATA` of lseek(2), which the C library shows only with _GNU_SOURCE.
    private static let seekData: CInt = 3

    private let descriptor: CInt
    /// The length at the time of opening.
    let size: Int
    /// Where what is kept begins.
    let firstByte: Int
    /// Names the file: another run's log has another tag.
    let tag: String

    /// Opens a log; nil when it is not there.
    init?(path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            return nil
        }
        size = Int(status.st_size)
        let data = lseek(descriptor, 0, Self.seekData)
        firstByte = data < 0 ? 0 : min(Int(data), size)
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        tag = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) } + "-\(status.st_ino)"
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes from an offset; empty at the end.
    func read(at offset: Int, count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: max(0, count)) { buffer, initialized in
            guard count > 0 else { return }
            initialized = max(0, pread(descriptor, buffer.baseAddress, count, off_t(offset)))
        }
    }

    /// Where the last `lines` lines begin.
    func start(ofLast lines: Int) -> Int {
        guard lines > 0 else { return size }
        var end = size
        var wanted = lines
        // A newline that ends the file ends its last line.
        if end > firstByte, read(at: end - 1, count: 1) == [UInt8(ascii: "\n")] { end -= 1 }
        while end > firstByte {
            let start = max(firstByte, end - 65_536)
            let chunk = read(at: start, count: end - start)
            for index in chunk.indices.reversed() where chunk[index] == UInt8(ascii: "\n") {
                wanted -= 1
                if wanted == 0 { return start + index + 1 }
            }
            end = start
        }
        return firstByte
    }

    /// What a `Range` header asks for.
    enum Range: Hashable, Sendable {
        /// No range, or one that this server does not know: everything.
        case all
        /// From here up to, not including, there.
        case part(Int, Int)
        /// Nothing of the file is in it: 416.
        case unsatisfiable
    }

    /// Reads a `Range` header (RFC 9110, section 14): one range of bytes, the others are taken for none.
    func range(_ header: String?) -> Range {
        guard let header, header.hasPrefix("bytes="), !header.contains(",") else { return .all }
        let parts = header.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return .all }
        if parts[0].isEmpty {
            guard let suffix = Int(parts[1]), suffix >= 0 else { return .all }
            return suffix == 0 || size == firstByte ? .unsatisfiable : .part(max(firstByte, size - suffix), size)
        }
        guard let first = Int(parts[0]), first >= 0 else { return .all }
        let last = parts[1].isEmpty ? size - 1 : Int(parts[1])
        guard let last, parts[1].isEmpty || last >= first else { return .all }
        let start = max(first, firstByte)
        let end = min(last, size - 1) + 1
        return start < end ? .part(start, end) : .unsatisfiable
    }
}
