import CLinux
import Dispatch
import Fleet
import Glibc
import Health
import Synchronization

/// One run's living tree: watched, read, and in the end ended.
///
/// Exits are told from the watcher's thread, at once. Everything that reads /proc, and everything that forwards the
/// log, runs on queues of this run's own: a process stuck in the kernel or a stalled journal can make such a step wait
/// for ever, and then nothing else waits, least of all the end of the tree.
final class EngineProcess: LaunchedServer {
    /// A member that is watched.
    struct Member: Sendable {
        var started: UInt64
        var pidfd: Int32
        var token: UInt64?
        var role: String?
    }

    struct State {
        var members: [Int32: Member] = [:]
        var file: InstanceFile
        var hasExited = false
        var isEnding = false
        var hasEnded = false
        var surveys = 0
        var oomKillsBefore: Int?
        var oomKills = 0
        var evidencePath: String?
    }

    let pid: Int32
    let endpoint: Endpoint
    let gpus: [String]
    let run: InstanceRun
    /// What its tree, its record and its GPUs are kept by.
    let key: String
    let started: UInt64
    let log: RunLog
    let tree: any ProcessTree
    let context: EngineContext
    /// For the end of the tree.
    let queue: DispatchQueue
    /// For looks at /proc.
    let lookQueue: DispatchQueue
    /// For the log.
    let logQueue: DispatchQueue
    let report: @Sendable (ServerEvent) -> Void
    let state: Mutex<State>

    var logPath: String { log.path }
    var logRead: Int64 { log.readBytes }
    var treeDescription: String { tree.description }

    /// A tree whose head lives. Call ``begin()`` next.
    init(
        pid: Int32, started: UInt64, file: InstanceFile, endpoint: Endpoint, log: RunLog, tree: any ProcessTree,
        context: EngineContext, queue: DispatchQueue, report: @escaping @Sendable (ServerEvent) -> Void
    ) {
        self.pid = pid
        self.started = started
        self.endpoint = endpoint
        gpus = file.gpus
        run = InstanceRun(instance: file.instance, run: file.run)
        key = file.key
        self.log = log
        self.tree = tree
        self.context = context
        self.queue = queue
        lookQueue = DispatchQueue(label: "stoker.look.\(run)")
        logQueue = DispatchQueue(label: "stoker.log.\(run)")
        self.report = report
        var begin = State(file: file)
        begin.oomKillsBefore = tree.oomKills()
        state = Mutex(begin)
    }

    /// Watches the head, and surveys the tree and its log from now on.
    func begin() {
        tree.begin(head: pid, started: started)
        let pidfd = stoker_pidfd_open(pid)
        state.withLock { $0.members[pid] = Member(started: started, pidfd: pidfd) }
        if pidfd >= 0 {
            let token = ExitWatcher.shared.watch(pidfd: pidfd) { [weak self] in self?.headExited() }
            state.withLock { $0.members[pid]?.token = token }
            if token == nil { pollHead() }
        } else {
            // No descriptor left, or gone already: looked at instead.
            pollHead()
        }
        logQueue.async { [weak self] in self?.tail() }
        lookQueue.asyncAfter(deadline: .now() + .milliseconds(200)) { [weak self] in self?.surveyAndRepeat() }
    }

    var evidencePath: String? { state.withLock { $0.evidencePath } }

    func weightsAreRead() {
        let context = context
        let key = key
        Task { await context.gpus.endStart(key) }
    }

    func startIsOver() {
        let context = context
        let key = key
        Task { await context.gpus.endTurn(key) }
    }

    func terminate() {
        // A look at its shared memory first: whoever obeys at once leaves nobody to ask.
        DispatchQueue(label: "stoker.terminate.\(run)").async {
            Bounded.wait(.milliseconds(500)) { self.noteSharedMemory() }
            self.signalEnd()
        }
    }

    private func signalEnd() {
        // Under the lock: the descriptor is closed, and its number free for another process's, only once it is out of
        // the table.
        let hasNoDescriptor = state.withLock { state -> Bool in
            guard !state.hasExited else { return false }
            guard let pidfd = state.members[pid]?.pidfd, pidfd >= 0 else { return true }
            stoker_pidfd_send_signal(pidfd, SIGTERM)
            // A stopped process would never see it.
            stoker_pidfd_send_signal(pidfd, SIGCONT)
            return false
        }
        if hasNoDescriptor, ProcessTable.entry(pid)?.started == started {
            kill(pid, SIGTERM)
            kill(pid, SIGCONT)
        }
    }

    func lastLines() -> [String] { log.lastLines }

    func kernelCause() -> String? {
        let count = state.withLock { $0.oomKills }
        return count > 0 ? "the kernel killed \(count) of its processes for lack of memory" : nil
    }

    private func headExited() {
        let pidfd = state.withLock { state -> Int32? in
            guard !state.hasExited else { return nil }
            state.hasExited = true
            return state.members.removeValue(forKey: pid)?.pidfd
        }
        guard let pidfd else { return }
        var code: Int32 = 0
        var status: Int32 = 0
        var end = ProcessEnd.unknown
        if pidfd >= 0 {
            if stoker_pidfd_reap(pidfd, &code, &status) == 1 { end = Self.end(code: code, status: status) }
            close(pidfd)
        } else {
            var raw: Int32 = 0
            if waitpid(pid, &raw, WNOHANG) == pid {
                end = raw & 0x7F == 0 ? .code((raw >> 8) & 0xFF) : .signal(raw & 0x7F)
            }
        }
        report(.exited(end))
    }

    static func end(code: Int32, status: Int32) -> ProcessEnd {
        code == 1 ? .code(status) : .signal(status)  // CLD_EXITED is 1; CLD_KILLED and CLD_DUMPED give a signal.
    }

    /// Looks for the head's end without a pidfd.
    private func pollHead() {
        lookQueue.asyncAfter(deadline: .now() + .milliseconds(50)) { [weak self] in
            guard let self else { return }
            if let entry = ProcessTable.entry(self.pid), entry.started == self.started, !entry.isZombie {
                self.pollHead()
            } else {
                self.headExited()
            }
        }
    }

    /// A member other than the head has ended.
    func memberExited(_ member: Int32) {
        let (gone, isEnding) = state.withLock { ($0.members.removeValue(forKey: member), $0.isEnding) }
        guard let gone else { return }
        if gone.pidfd >= 0 {
            // Ours to reap only where its parent died before it.
            var code: Int32 = 0
            var status: Int32 = 0
            stoker_pidfd_reap(gone.pidfd, &code, &status)
            close(gone.pidfd)
        }
        guard !isEnding else { return }
        if let role = gone.role {
            report(.engineDied("\(role) (pid \(member))"))
        } else {
            report(.helperDied("a helper process (pid \(member)) has gone"))
        }
    }

    /// Reads the log and forwards it, again and again until the run has ended.
    private func tail() {
        guard !state.withLock({ $0.hasEnded }) else { return }
        let isKnown = log.isCatchingUp
        let more = log.read { self.forward($0, isKnown: isKnown) }
        logQueue.asyncAfter(deadline: .now() + .milliseconds(more ? 5 : 150)) { [weak self] in self?.tail() }
    }

    /// Tells of lines, and forwards those that an earlier life of the daemon has not forwarded.
    func forward(_ lines: [String], isKnown: Bool = false) {
        report(.lines(lines))
        if isKnown { return }
        for line in lines { context.sink.line(line, of: run) }
    }
}
