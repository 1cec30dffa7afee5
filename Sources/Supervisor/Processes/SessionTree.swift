import Glibc
import Synchronization

/// A tree without a cgroup: the head's session, every descendant that was ever seen, even if it made a session of its
/// own since, and orphans whose output goes to the run's log. The supervisor is a subreaper, so such an orphan becomes
/// its child (after the supervisor's death, init's).
///
/// Weaker than a cgroup: a process that leaves the session, its parent and its output between two looks is not found.
final class SessionTree: ProcessTree {
    private struct State {
        var head: Int32 = 0
        var started: UInt64 = 0
        var known: [Int32: UInt64] = [:]
    }

    private let state = Mutex(State())
    private let log: String?

    /// A tree without a head yet, whose output goes to a log.
    init(log: String? = nil) { self.log = log }

    /// A tree of an earlier life: the head's session and the members that were recorded.
    init(head: Int32, started: UInt64, known: [Int32: UInt64], log: String? = nil) {
        self.log = log
        state.withLock { $0 = State(head: head, started: started, known: known) }
    }

    var description: String { "session \(state.withLock { $0.head })" }
    var joinFile: String? { nil }
    var folder: String? { nil }

    func begin(head: Int32, started: UInt64) {
        state.withLock { $0 = State(head: head, started: started, known: [head: started]) }
    }

    func members() -> [ProcessTable.Entry] {
        let all = ProcessTable.all()
        return state.withLock { state in
            guard state.head > 1 else { return [] }
            let byPid = Dictionary(all.map { ($0.pid, $0) }, uniquingKeysWith: { first, _ in first })
            // A session's number stays taken while anyone is in it; but when its leader is another process than
            // ours was, it is another session.
            let isOurSession = byPid[state.head].map { $0.started == state.started } ?? true
            var members: [Int32: ProcessTable.Entry] = [:]
            for entry in all where entry.pid != getpid() {
                let isKnown = state.known[entry.pid] == entry.started
                let isInSession = isOurSession && entry.session == state.head && entry.started >= state.started
                if isKnown || isInSession || isStrayed(entry) { members[entry.pid] = entry }
            }
            // Descendants, whatever session they are in.
            var grew = true
            while grew {
                grew = false
                for entry in all where members[entry.pid] == nil && entry.pid != getpid() {
                    if members[entry.parent] != nil {
                        members[entry.pid] = entry
                        grew = true
                    }
                }
            }
            state.known = members.mapValues { $0.started }
            return members.values.filter { !$0.isZombie }.sorted { $0.pid < $1.pid }
        }
    }

    /// Whether an orphan writes to the run's log, and so comes from this tree.
    private func isStrayed(_ entry: ProcessTable.Entry) -> Bool {
        guard let log, entry.parent == getpid() || entry.parent == 1, !entry.isZombie else { return false }
        return [1, 2].contains { SystemFile.isSame("/proc/\(entry.pid)/fd/\($0)", log) }
    }

    func isEmpty() -> Bool { members().isEmpty }

    func kill() { for member in members() { Glibc.kill(member.pid, SIGKILL) } }

    func oomKills() -> Int? { nil }

    func remove() {}
}
