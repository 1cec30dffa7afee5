import CLinux
import Glibc

/// A large or chunked multipart body on its way: what came before its model was known lies in a file without a name, the
/// rest passes through. One object an upload.
final class Upload {
    /// Bodies of more than this many bytes are not kept in memory.
    static let threshold = 64 << 10
    /// The most bytes in memory at a time.
    static let window = 64 << 10
    /// The most bytes of a chunked body read at a time: their own frame has room beside them.
    static let framedRoom = window - 64

    /// The body's length; nil while a chunked one has not ended.
    var total: Int?
    /// Whether the server gets it in chunks: its length was not known when the request left.
    var isFramed = false
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

    /// An upload of so many bytes, or of a length that will be seen; nil when no file can be made.
    init?(total: Int?, boundary: [UInt8]) {
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
    var isWhole: Bool { count == total }

    /// Bytes that have come so far.
    var count: Int { spooled + streamed }

    /// Bytes that are still to come, as far as that is known.
    var missing: Int { total.map { $0 - count } ?? .max }

    /// What the server gets in place of the first ``spooled`` bytes, the model's value replaced by one of so many bytes.
    func keptLength(replacement: Int?) -> Int {
        guard let place = scanner.place, let replacement else { return spooled }
        return spooled - (place.end - place.start) + replacement
    }

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
