import CLinux
import Fleet
import FoundationEssentials
import Glibc

/// The gateways that an earlier life of this supervisor has left running: found by a file of the state directory, and
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
        /// One that was to take its turn.
        var successor: [Record]?
        /// Those that accept no more and whose streams go on.
        var old: [Record]?

        /// One that was just started.
        init(pid: Int32, order: GatewayLaunchOrder, build: String) {
            self.pid = pid
            started = ProcessTable.entry(pid)?.started ?? 0
            boot = ProcessTable.bootID
            listeners = order.listeners.count
            loops = order.loops
            self.build = build
        }

        /// Whether it still runs.
        var lives: Bool {
            guard boot == ProcessTable.bootID, let entry = ProcessTable.entry(pid), !entry.isZombie else {
                return false
            }
            return entry.started == started
        }
    }

    /// The one that takes clients; nil where it has ended.
    let record: Record?
    /// The one that was to take its turn.
    let successor: Record?
    /// Those that were retired.
    let old: [Record]

    /// What still runs; nil where nothing does.
    static func find(_ file: StateFile) -> GatewayPredecessor? {
        guard let bytes = file.read(), let kept = try? JSONDecoder().decode(Record.self, from: Data(bytes)) else {
            return nil
        }
        let successor = kept.successor?.first { $0.lives }
        let old = (kept.old ?? []).filter(\.lives)
        guard kept.lives || successor != nil || !old.isEmpty else { return nil }
        return GatewayPredecessor(record: kept.lives ? kept : nil, successor: successor, old: old)
    }

    /// Keeps what a successor needs; a disk that cannot take it costs the handover and nothing else.
    static func keep(_ current: Record, successor: Record?, old: [Record], in file: StateFile) {
        var record = current
        record.successor = successor.map { [$0] }
        record.old = old.isEmpty ? nil : old
        guard let data = try? JSONEncoder().encode(record) else { return }
        file.write(Array(data))
    }

    /// All of them, the one that takes clients first.
    var all: [Record] { [record, successor].compactMap { $0 } + old }

    /// Whether those that take clients run the very file that we do, whatever was at its path since, with these loops and
    /// these very sockets.
    func isFit(_ order: GatewayLaunchOrder) -> Bool {
        [record, successor].compactMap { $0 }.allSatisfy { record in
            SystemFile.isSame("/proc/\(record.pid)/exe", ExecutableFile.running) && record.loops == order.loops
                && Self.holds(record, order.listeners)
        }
    }

    /// Whether its descriptors are these very sockets. Asked of /proc, which needs less than having copies of them: also
    /// where the kernel lets nobody but a parent attach (Yama).
    private static func holds(_ record: Record, _ listeners: [ListeningSocket]) -> Bool {
        guard listeners.count == record.listeners else { return false }
        return listeners.enumerated().allSatisfy { index, listener in
            SystemFile.isSame("/proc/\(record.pid)/fd/\(3 + index)", "/proc/self/fd/\(listener.descriptor)")
        }
    }

    /// Copies of its listening sockets; nil where the kernel does not let us have them (ptrace(2)'s rules).
    func sockets() -> [ListeningSocket]? {
        guard let record = all.first else { return nil }
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
