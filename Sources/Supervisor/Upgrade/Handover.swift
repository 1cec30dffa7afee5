import CLinux
import FoundationEssentials
import Glibc

/// What a supervisor gives the program that it executes in its own place: descriptors by their numbers, and what is
/// known only to it. Written to a memfd whose number is in the environment.
///
/// A reader of another build takes what it knows: everything but the format may be missing.
struct Handover: Codable, Sendable {
    /// The variable with the memfd's number.
    static let variable = "STOKER_HANDOVER"
    /// A reader refuses another one; the rehearsal says so before anything is given up.
    static let format = 1

    /// The configuration that is in charge, as it was read.
    struct Accepted: Codable, Sendable, Hashable {
        /// Its file.
        var file: String
        /// The file's text.
        var text: String
    }

    var format = Handover.format
    /// The version of whoever hands over.
    var version: String
    /// The lock on the runtime directory.
    var lock: Int32?
    /// The gateway's listening sockets.
    var gatewaySockets: [Int32]?
    /// The admin side's listening sockets.
    var adminSockets: [Int32]?
    /// The pipe with signals that came and were not read yet.
    var signals: Int32?
    /// The soft limit of open files before it was raised; engines get it back.
    var openFiles: UInt64?
    /// nil where the environment stood alone.
    var accepted: Accepted?
    /// Whether READY=1 has been sent.
    var isReadySent: Bool?
    /// The reload that this is part of, to be finished by the reader.
    var reload: Int?
    /// How often the gateway was started again.
    var gatewayRestarts: Int?
    /// What instances went through, by name.
    var instances: [String: InstanceMemory]?

    /// Every descriptor in it.
    var descriptors: [Int32] { [lock, signals].compactMap { $0 } + (gatewaySockets ?? []) + (adminSockets ?? []) }

    /// Writes it; nil where the kernel gives no descriptor.
    func write() -> Int32? {
        guard let data = try? JSONEncoder().encode(self) else { return nil }
        let descriptor = stoker_memfd("stoker-handover")
        guard descriptor >= 0 else { return nil }
        let bytes = Array(data)
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                close(descriptor)
                return nil
            }
            offset += count
        }
        return descriptor
    }

    /// Takes what an environment names, out of it too; nil where this process was not executed by a supervisor. The
    /// descriptors are close-on-exec from then on.
    static func take(from environment: inout [String: String]) -> Handover? {
        guard let text = environment.removeValue(forKey: variable) else { return nil }
        unsetenv(variable)
        guard let descriptor = Int32(text), descriptor > 2 else { return nil }
        defer { close(descriptor) }
        guard lseek(descriptor, 0, SEEK_SET) == 0, let bytes = SystemFile.bytes("/proc/self/fd/\(descriptor)"),
            let handover = try? JSONDecoder().decode(Handover.self, from: Data(bytes)), handover.format == format
        else { return nil }
        for descriptor in handover.descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        return handover
    }
}
