import CLinux
import Fleet
import FoundationEssentials
import Glibc

/// The gateway that an earlier life of this supervisor has left running: found by a file of the state directory, and
/// believed only where pid, start time and boot agree.
struct GatewayPredecessor: Sendable {
    /// What is kept about a running gateway.
    struct Record: Codable, Hashable, Sendable {
        var pid: Int32
        /// Its start in clock ticks since boot.
        var started: UInt64
        var boot: String
        /// How many listening sockets it has, from descriptor 3 on.
        var listeners: Int
        var loops: Int
        var build: String
    }

    let record: Record

    /// The predecessor that still runs; nil where there is none.
    static func find(_ path: String) -> GatewayPredecessor? {
        guard let data = try? Data(contentsOf: URL(filePath: path)),
            let record = try? JSONDecoder().decode(Record.self, from: data),
            record.boot == ProcessTable.bootID, let entry = ProcessTable.entry(record.pid), !entry.isZombie,
            entry.started == record.started
        else { return nil }
        return GatewayPredecessor(record: record)
    }

    /// Keeps what a successor needs; a disk that cannot take it costs the handover and nothing else.
    static func keep(pid: Int32, order: GatewayLaunchOrder, build: String, at path: String) {
        guard let entry = ProcessTable.entry(pid) else { return }
        let record = Record(
            pid: pid, started: entry.started, boot: ProcessTable.bootID, listeners: order.listeners.count,
            loops: order.loops, build: build)
        try? JSONEncoder().encode(record).write(to: URL(filePath: path), options: .atomic)
    }

    /// Whether its descriptors are these very sockets. Asked of /proc, which needs less than having copies of them: also
    /// where the kernel lets nobody but a parent attach (Yama).
    func holds(_ listeners: [ListeningSocket]) -> Bool {
        guard listeners.count == record.listeners else { return false }
        return listeners.enumerated().allSatisfy { index, listener in
            SystemFile.isSame("/proc/\(record.pid)/fd/\(3 + index)", "/proc/self/fd/\(listener.descriptor)")
        }
    }

    /// Copies of its listening sockets; nil where the kernel does not let us have them (ptrace(2)'s rules).
    func sockets() -> [ListeningSocket]? {
        let pidfd = stoker_pidfd_open(record.pid)
        guard pidfd >= 0 else { return nil }
        defer { close(pidfd) }
        var sockets: [ListeningSocket] = []
        for index in 0..<record.listeners {
            let descriptor = stoker_pidfd_getfd(pidfd, Int32(3 + index))
            guard descriptor >= 0 else { break }
            guard let socket = ListeningSocket(inherited: descriptor) else {
                close(descriptor)
                break
            }
            sockets.append(socket)
        }
        guard sockets.count == record.listeners else {
            for socket in sockets { close(socket.descriptor) }
            return nil
        }
        return sockets
    }
}
