import CLinux
import Glibc
import Synchronization

/// The tail of one run's log: an append-only file that the engine writes and we read. Not a pipe: nobody's death or
/// slowness can stop an engine in `write`, and offsets stay valid, as the file's head is given back by punching holes.
///
/// ``read(_:)`` is for one queue; ``lastLines`` may be asked from anywhere.
final class RunLog: Sendable {
    /// A line longer than this is cut.
    static let longestLine = 16 << 10
    /// Lines kept for explanations.
    static let keptLines = 400
    /// How much of the file is kept on disk, at least; up to twice as much between two punches.
    static let keptBytes: Int64 = 32 << 20

    private struct State {
        var fd: Int32
        var offset: Int64 = 0
        /// What comes before this was forwarded in an earlier life.
        var known: Int64 = 0
        var punched: Int64 = 0
        var partial: [UInt8] = []
        var isCut = false
        var ring: [String] = []
    }

    /// The file.
    let path: String
    private let state: Mutex<State>

    /// Opens the file where the engine's output begins; nil where it cannot be made.
    ///
    /// - Parameters:
    ///   - fromEnd: For a log that was read in an earlier life: its last lines first, which are known.
    ///   - read: How far that life has read; nil where it could not tell, and everything is taken for known.
    init?(path: String, fromEnd: Bool = false, read: Int64? = nil) {
        // Opened for writing too: holes are punched through this descriptor.
        var fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        // A disk that became read-only: what is there can still be read.
        if fd < 0 { fd = open(path, O_RDONLY | O_CLOEXEC) }
        guard fd >= 0 else { return nil }
        self.path = path
        var begin = State(fd: fd)
        if fromEnd {
            // The last lines are wanted for explanations; whole lines only.
            let end = Int64(lseek(fd, 0, SEEK_END))
            begin.known = min(end, read ?? end)
            begin.offset = max(0, begin.known - (64 << 10))
            begin.isCut = begin.offset > 0
        }
        state = Mutex(begin)
    }

    deinit {
        let fd = state.withLock { $0.fd }
        if fd >= 0 { close(fd) }
    }

    /// The last lines.
    var lastLines: [String] { state.withLock { $0.ring } }

    /// How far it was read, up to the last whole line.
    var readBytes: Int64 { state.withLock { $0.offset - Int64($0.partial.count) } }

    /// Whether what ``read(limit:_:)`` gives next was forwarded in an earlier life.
    var isCatchingUp: Bool { state.withLock { $0.offset < $0.known } }

    /// Reads what is new, at most `limit` bytes, and gives whole lines to `take`.
    ///
    /// - Returns: Whether there may be more to read at once.
    func read(limit: Int = 256 << 10, _ take: ([String]) -> Void) -> Bool {
        let (lines, more) = state.withLock { state -> ([String], Bool) in
            guard state.fd >= 0 else { return ([], false) }
            let limit = state.offset < state.known ? min(limit, Int(state.known - state.offset)) : limit
            var buffer = [UInt8](repeating: 0, count: limit)
            let count = pread(state.fd, &buffer, limit, off_t(state.offset))
            guard count > 0 else { return ([], false) }
            state.offset += Int64(count)
            let lines = Self.split(buffer[0..<count], &state)
            state.ring += lines
            if state.ring.count > Self.keptLines { state.ring.removeFirst(state.ring.count - Self.keptLines) }
            Self.punch(&state)
            return (lines, count == limit)
        }
        if !lines.isEmpty { take(lines) }
        return more
    }

    /// Takes a last line that has no newline, at the end of a run.
    func finish(_ take: ([String]) -> Void) {
        while read(take) {}
        let rest = state.withLock { state -> String? in
            guard !state.partial.isEmpty, !state.isCut else { return nil }
            let line = String(decoding: state.partial, as: UTF8.self)
            state.partial = []
            state.ring.append(line)
            return line
        }
        if let rest { take([rest]) }
    }

    private static func split(_ bytes: ArraySlice<UInt8>, _ state: inout State) -> [String] {
        var lines: [String] = []
        var rest = bytes
        while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
            if state.isCut {
                state.isCut = false
            } else {
                let line = state.partial + rest[rest.startIndex..<end]
                // A progress bar redraws itself with carriage returns: each of its states is a line.
                if !line.isEmpty { lines.append(String(decoding: line.prefix(longestLine), as: UTF8.self)) }
            }
            state.partial = []
            rest = rest[(end + 1)...]
        }
        if !state.isCut {
            state.partial += rest
            if state.partial.count > longestLine {
                lines.append(String(decoding: state.partial.prefix(longestLine), as: UTF8.self))
                state.partial = []
                state.isCut = true
            }
        }
        return lines
    }

    /// Gives the disk back what is older than the last ``keptBytes``, once there is as much of it again.
    private static func punch(_ state: inout State) {
        guard state.offset - state.punched > 2 * keptBytes else { return }
        let until = (state.offset - keptBytes) & ~4095
        if stoker_punch_hole(state.fd, 0, until) == 0 || errno == EOPNOTSUPP { state.punched = until }
    }
}
