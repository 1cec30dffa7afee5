import CLinux
import Glibc

/// A large multipart body on its way: what came before its model was known lies in a file without a name, the rest
/// passes through. One object an upload.
final class Upload {
    /// Bodies of more than this many bytes are not kept in memory.
    static let threshold = 64 << 10
    /// The most bytes in memory at a time.
    static let window = 64 << 10

    /// The body's length.
    let total: Int
    /// Finds the model.
    var scanner: MultipartScanner
    /// Bytes in the file: the body's beginning.
    private(set) var spooled = 0
    /// Bytes behind those that were read from the client.
    var streamed = 0
    /// Bytes that were read and not written yet.
    var pending = Buffer()
    /// Whether more bytes of the client are awaited.
    var waitsForClient = false

    private let file: Int32

    /// An upload of so many bytes; nil when no file can be made.
    init?(total: Int, boundary: [UInt8]) {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        var file = stoker_unlinked_file(folder)
        if file < 0 { file = stoker_unlinked_file("/tmp") }
        guard file >= 0 else { return nil }
        self.file = file
        self.total = total
        scanner = MultipartScanner("model", boundary: boundary)
    }

    deinit { close(file) }

    /// Whether every byte has been read from the client.
    var isWhole: Bool { spooled + streamed == total }

    /// Keeps bytes; false when the file takes no more.
    func spool(_ view: ByteView) -> Bool {
        var at = 0
        while at < view.count {
            let put = pwrite(file, view.base + at, view.count - at, off_t(spooled))
            if put > 0 {
                at += put
                spooled += put
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Reads bytes of the file; how many, or -1.
    func read(into target: UnsafeMutablePointer<UInt8>, at offset: Int, _ count: Int) -> Int {
        while true {
            let got = pread(file, target, count, off_t(offset))
            if got >= 0 || errno != EINTR { return got }
        }
    }
}
