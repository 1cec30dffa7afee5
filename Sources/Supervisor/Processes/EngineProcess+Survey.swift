import CLinux
import Dispatch
import Fleet
import Glibc

/// Once a second: who lives in the tree, what it uses, and what will have to be cleaned up after it.
extension EngineProcess {
    func surveyAndRepeat() {
        guard !state.withLock({ $0.isEnding }) else { return }
        survey()
        lookQueue.asyncAfter(deadline: .now() + .seconds(1)) { [weak self] in self?.surveyAndRepeat() }
    }

    /// Looks at the tree once.
    func survey() {
        let living = tree.members()
        var usage = TreeUsage(processes: living.count)
        var ticks: UInt64 = 0
        for entry in living {
            usage.residentBytes &+= entry.residentPages &* ProcessTable.pageSize
            usage.ioBytes &+= ProcessTable.ioBytes(entry.pid)
            ticks &+= entry.ticks
        }
        usage.cpu = .nanoseconds(Int64(clamping: ticks &* (1_000_000_000 / ProcessTable.ticksPerSecond)))
        let fresh = watchNew(living)
        readRoles(living)
        // Maps of a large process are long: read at every look for a while after somebody new came, who makes his
        // segments then, and every ten seconds later.
        let isDue = state.withLock { state -> Bool in
            state.surveys = fresh ? 0 : state.surveys + 1
            return state.surveys <= 10 || state.surveys % 10 == 0
        }
        let segments = isDue ? sharedMemory(living) : nil
        remember(living, segments)
        report(.usage(usage))
    }

    /// Watches members that were not seen before; says whether there were any.
    private func watchNew(_ living: [ProcessTable.Entry]) -> Bool {
        var fresh = false
        for entry in living where entry.pid != pid {
            let known = state.withLock { $0.members[entry.pid]?.started == entry.started }
            if known { continue }
            fresh = true
            let pidfd = stoker_pidfd_open(entry.pid)
            guard pidfd >= 0 else { continue }
            // Between the list and the pidfd it may have become another process.
            guard ProcessTable.entry(entry.pid)?.started == entry.started else {
                close(pidfd)
                continue
            }
            let old = state.withLock { state -> Member? in
                let old = state.members[entry.pid]
                state.members[entry.pid] = Member(started: entry.started, pidfd: pidfd)
                return old
            }
            if let old, old.pidfd >= 0 {
                if let token = old.token { ExitWatcher.shared.forget(token, pidfd: old.pidfd) }
                close(old.pidfd)
            }
            let member = entry.pid
            let token = ExitWatcher.shared.watch(pidfd: pidfd) { [weak self] in self?.memberExited(member) }
            state.withLock { $0.members[member]?.token = token }
        }
        return fresh
    }

    /// A member takes its title some time after its start.
    private func readRoles(_ living: [ProcessTable.Entry]) {
        for entry in living where entry.pid != pid {
            let isPlain = state.withLock { $0.members[entry.pid].map { $0.role == nil } ?? false }
            guard isPlain, let role = ProcessTable.engineRole(entry.pid) else { continue }
            state.withLock { $0.members[entry.pid]?.role = role }
        }
    }

    /// Notes the segments that are mapped now, and so may be left behind soon.
    func noteSharedMemory() {
        let segments = sharedMemory(tree.members())
        state.withLock { state in
            state.file.sharedMemory = Set(state.file.sharedMemory).union(segments).sorted()
        }
    }

    func sharedMemory(_ living: [ProcessTable.Entry]) -> Set<String> {
        living.reduce(into: []) { $0.formUnion(ProcessTable.sharedMemory($1.pid)) }
    }

    /// Keeps what the next life of the daemon would need, where it changed.
    private func remember(_ living: [ProcessTable.Entry], _ segments: Set<String>?) {
        let changed = state.withLock { state -> InstanceFile? in
            var file = state.file
            file.members = living.map { InstanceFile.Member(pid: $0.pid, started: $0.started) }
            if let segments { file.sharedMemory = Set(file.sharedMemory).union(segments).sorted() }
            guard file != state.file else { return nil }
            state.file = file
            return file
        }
        if let changed { context.files.write(changed) }
    }
}
