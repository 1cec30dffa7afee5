import Fleet
import Glibc

/// What /proc says about processes.
enum ProcessTable {
    /// A process, as /proc/PID/stat shows it.
    struct Entry: Sendable, Hashable {
        /// The process id.
        var pid: Int32
        /// The state's letter: `R`, `S`, `D`, `Z` …
        var state: UInt8
        /// The parent's id.
        var parent: Int32
        /// The session's id.
        var session: Int32
        /// Its threads that live: the first one can be a zombie before the last has let go of its memory.
        var threads: Int
        /// User and kernel time in clock ticks.
        var ticks: UInt64
        /// When it started, in clock ticks since boot: with the pid and the boot, who it is.
        var started: UInt64
        /// Resident pages.
        var residentPages: UInt64

        /// Resident memory in bytes.
        var residentBytes: UInt64 { residentPages &* ProcessTable.pageSize }

        /// Whether it has ended and only waits to be reaped.
        var isZombie: Bool { (state == UInt8(ascii: "Z") && threads <= 1) || state == UInt8(ascii: "X") }
    }

    /// The pages' size.
    static let pageSize = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))
    /// Clock ticks a second.
    static let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// This boot's id: pids and start times mean nothing beyond it.
    static let bootID: String = {
        let text = SystemFile.text("/proc/sys/kernel/random/boot_id") ?? ""
        return String(text.prefix { $0 != "\n" })
    }()

    /// A process; nil when there is none.
    static func entry(_ pid: Int32) -> Entry? {
        guard let bytes = SystemFile.bytes("/proc/\(pid)/stat", limit: 4096) else { return nil }
        return parse(bytes, pid: pid)
    }

    /// Reads a line of /proc/PID/stat. The command in parentheses may hold anything, parentheses and spaces too:
    /// the fields begin after the last `)`.
    static func parse(_ bytes: [UInt8], pid: Int32) -> Entry? {
        guard let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(close + 1)...].split(whereSeparator: { $0 == 0x20 || $0 == 0x0A })
        guard fields.count > 21, let state = fields[0].first else { return nil }
        func number(_ index: Int) -> UInt64 { UInt64(String(decoding: fields[index], as: UTF8.self)) ?? 0 }
        return Entry(
            pid: pid, state: state, parent: Int32(truncatingIfNeeded: number(1)),
            session: Int32(truncatingIfNeeded: number(3)), threads: Int(clamping: number(17)),
            ticks: number(11) &+ number(12), started: number(19),
            residentPages: number(21))
    }

    /// Every process there is.
    static func all() -> [Entry] {
        SystemFile.names(in: "/proc").compactMap { Int32($0) }.compactMap { entry($0) }
    }

    /// The command line, its parts joined by spaces; empty for zombies and kernel threads.
    static func commandLine(_ pid: Int32) -> String {
        guard let bytes = SystemFile.bytes("/proc/\(pid)/cmdline", limit: 4096) else { return "" }
        let trimmed = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return trimmed.joined(separator: " ")
    }

    /// The name of a process that a vLLM server cannot live without: `VLLM::EngineCore`, `VLLM::Worker_TP0`. The
    /// kernel's short name is cut at 15 characters, so it is read from the command line.
    static func engineRole(_ pid: Int32) -> String? {
        let line = commandLine(pid)
        guard line.hasPrefix("VLLM::") else { return nil }
        return String(line.prefix { $0 != " " })
    }

    /// `rchar` + `wchar` of /proc/PID/io: 0 where it cannot be read.
    static func ioBytes(_ pid: Int32) -> UInt64 {
        guard let text = SystemFile.text("/proc/\(pid)/io", limit: 4096) else { return 0 }
        var sum: UInt64 = 0
        for line in text.split(separator: "\n") where line.hasPrefix("rchar:") || line.hasPrefix("wchar:") {
            sum &+= UInt64(line.dropFirst(7)) ?? 0
        }
        return sum
    }

    /// The files of /dev/shm that a process has mapped and that still have a name.
    static func sharedMemory(_ pid: Int32) -> Set<String> {
        guard let bytes = SystemFile.bytes("/proc/\(pid)/maps", limit: 8 << 20) else { return [] }
        var (named, renamed) = sharedMemory(inMaps: bytes)
        if renamed.isEmpty { return named }
        for name in SystemFile.names(in: "/dev/shm") {
            var info = stat()
            if lstat("/dev/shm/\(name)", &info) == 0, renamed.contains(UInt64(info.st_ino)) {
                named.insert("/dev/shm/\(name)")
            }
        }
        return named
    }

    /// Finds the files in the text of a /proc/PID/maps: names, and the inodes of those whose first name is gone.
    ///
    /// A named semaphore is made under another name and linked to its own (sem_open(3) of the C library), so its maps
    /// show a deleted file though there is one; a file that is gone altogether has no inode in /dev/shm any more.
    static func sharedMemory(inMaps bytes: [UInt8]) -> (named: Set<String>, renamed: Set<UInt64>) {
        let mark = Array(" /dev/shm/".utf8)
        var named: Set<String> = []
        var renamed: Set<UInt64> = []
        for line in bytes.split(separator: 0x0A) {
            guard line.count > mark.count, let slash = line.firstIndex(of: UInt8(ascii: "/")), slash > line.startIndex
            else { continue }
            guard line[(slash - 1)...].starts(with: mark) else { continue }
            let path = String(decoding: line[slash...], as: UTF8.self)
            if path.hasSuffix(" (deleted)") {
                let fields = line[..<slash].split(separator: 0x20)
                if fields.count == 5, let inode = UInt64(String(decoding: fields[4], as: UTF8.self)) {
                    renamed.insert(inode)
                }
            } else if !path.contains("/..") {
                named.insert(path)
            }
        }
        return (named, renamed)
    }
}
