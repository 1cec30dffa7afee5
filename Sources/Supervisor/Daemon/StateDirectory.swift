import Fleet
import FoundationEssentials
import Glibc

/// The state and runtime directories of this daemon, made and locked, so that no second daemon uses them.
struct StateDirectory: Sendable {
    let directories: Directories
    /// Larger than that of every earlier supervisor on this directory.
    let epoch: UInt64
    /// What could not be made or written there: the daemon goes on without, and says so.
    let problems: [String]
    /// The descriptor that holds the lock, for whoever takes this process's place.
    let lock: Int32
    /// The descriptor that holds the state directory's own lock; -1 where it cannot be opened.
    let stateLock: Int32

    /// Makes the directories where they are missing, takes the lock, and begins a new epoch.
    ///
    /// - Parameter lock: The lock that the program before this one has held all the time.
    init(_ directories: Directories, lock handedOver: Int32? = nil) throws(DaemonFailure) {
        self.directories = directories
        var problems: [String] = []
        for (path, mode) in [
            (directories.state, 0o700), (directories.runtime, 0o755), (directories.instanceSockets, 0o700),
            (directories.instances, 0o700), (directories.logs, 0o700),
        ] {
            if let problem = try Self.make(path, mode: mode_t(mode)) { problems.append(problem) }
        }
        lock = try Self.takeLock("\(directories.runtime)/stoker.lock", handedOver)
        do throws(DaemonFailure) {
            stateLock = try Self.lockState(directories.state)
        } catch {
            if handedOver == nil { close(lock) }
            throw error
        }
        epoch = Self.nextEpoch(StateFile("epoch", in: directories), &problems)
        self.problems = problems
    }

    /// Makes a folder where it is missing.
    ///
    /// - Returns: A sentence where the disk is full or read-only: what runs already is not to be left alone for that.
    private static func make(_ path: String, mode: mode_t) throws(DaemonFailure) -> String? {
        if access(path, F_OK) == 0 {
            guard access(path, W_OK | X_OK) != 0 else { return nil }
            if errno == EROFS { return "\(path) cannot be written: \(SystemFile.reason())" }
            throw DaemonFailure(
                "\(path) cannot be written to: give it to the daemon's user, or set STATE_DIRECTORY and RUNTIME_DIRECTORY"
            )
        }
        if let problem = SystemFile.makeFolder(path, mode: 0o755) {
            if errno == EROFS || errno == ENOSPC { return problem }
            throw DaemonFailure("\(problem): make it, or set STATE_DIRECTORY and RUNTIME_DIRECTORY")
        }
        chmod(path, mode)
        return nil
    }

    /// An flock that ends with the process, however it ends.
    private static func takeLock(_ path: String, _ handedOver: Int32?) throws(DaemonFailure) -> Int32 {
        if let handedOver, SystemFile.isSame("/proc/self/fd/\(handedOver)", path) { return handedOver }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DaemonFailure("\(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw DaemonFailure(
                "another stoker runs with \(path): stop it, or give this one its own RUNTIME_DIRECTORY and STATE_DIRECTORY"
            )
        }
        return descriptor
    }

    /// Another daemon may have another runtime directory and this state: it would take over these engines. The lock is the
    /// folder's own and lasts as long as the process, or until its program is another one, which takes it again.
    private static func lockState(_ path: String) throws(DaemonFailure) -> Int32 {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else {
            return descriptor
        }
        close(descriptor)
        throw DaemonFailure(
            "another stoker keeps its state in \(path): stop it, or give this one its own STATE_DIRECTORY")
    }

    /// Whether no daemon holds the lock.
    static func isFree(_ directories: Directories) -> Bool {
        let descriptor = open("\(directories.runtime)/stoker.lock", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }

    private static func nextEpoch(_ file: StateFile, _ problems: inout [String]) -> UInt64 {
        let text = String(decoding: file.read(limit: 64) ?? [], as: UTF8.self)
        let last = UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        // The clock keeps epochs growing where the file was lost; a clock that was set back does not shrink them.
        let epoch = max(last + 1, UInt64(max(0, time(nil))))
        if let problem = file.write(Array("\(epoch)\n".utf8)) { problems.append(problem) }
        return epoch
    }
}
