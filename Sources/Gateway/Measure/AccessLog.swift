import CLinux
import Glibc

/// Where access logs go: written by the control thread, so that a slow disk holds up no loop.
struct AccessLog {
    /// What may wait in a loop before lines are left out, in bytes.
    static let limit = 4 << 20

    private var descriptor: Int32 = -1
    private var target: String?
    private var inode: (device: UInt64, number: UInt64) = (0, 0)

    /// None.
    init() {}

    /// Opens what the settings name, anew where it was moved away; whether lines are wanted.
    mutating func open(_ wanted: String?) -> Bool {
        if wanted != target { close() }
        target = wanted
        guard let wanted else { return false }
        if wanted == "stderr" {
            descriptor = 2
            return true
        }
        var status = stat()
        if descriptor >= 0, stat(wanted, &status) == 0,
            inode == (UInt64(status.st_dev), UInt64(status.st_ino))
        {
            return true
        }
        close()
        target = wanted
        descriptor = Glibc.open(wanted, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            GatewayLog.warning(
                "the access log cannot be opened; it is tried again", [("file", wanted), ("errno", "\(errno)")])
            return false
        }
        inode = (UInt64(status.st_dev), UInt64(status.st_ino))
        return true
    }

    /// Writes whole lines.
    func write(_ lines: [UInt8]) {
        guard descriptor >= 0 else { return }
        if descriptor == 2 { return StandardError.write(lines) }
        var at = 0
        while at < lines.count {
            let put = lines.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + at, $0.count - at) }
            if put > 0 {
                at += put
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Closes it.
    mutating func close() {
        if descriptor > 2 { _ = Glibc.close(descriptor) }
        descriptor = -1
        target = nil
    }
}
