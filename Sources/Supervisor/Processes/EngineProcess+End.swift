import CLinux
import Dispatch
import Fleet
import Glibc

/// The end of a tree: evidence, SIGKILL for all of it, reaping, cleaning.
extension EngineProcess {
    func end(evidence: String?) async {
        state.withLock { $0.isEnding = true }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.async {
                self.endNow(evidence: evidence)
                continuation.resume()
            }
        }
        await context.gpus.release(key)
        if case .tcp(_, let port) = endpoint.address { context.ports.giveBack(port) }
    }

    private func endNow(evidence: String?) {
        guard !state.withLock({ $0.hasEnded }) else { return }
        Bounded.wait(evidence == nil ? .seconds(5) : .seconds(15)) {
            // What is mapped now is left behind in a moment.
            self.noteSharedMemory()
            if let evidence { self.save(evidence: evidence, self.tree.members()) }
        }
        killAll()
        reapAll()
        let kills = (tree.oomKills() ?? 0) - (state.withLock { $0.oomKillsBefore } ?? 0)
        let file = state.withLock { state -> InstanceFile in
            state.oomKills = max(0, kills)
            state.hasEnded = true
            return state.file
        }
        Bounded.wait(.seconds(2), on: logQueue) { self.log.finish { self.forward($0) } }
        context.clean(file)
        tree.remove()
        var gone = file
        gone.head = nil
        gone.members = []
        gone.cgroup = nil
        gone.endpoint = nil
        gone.sharedMemory = []
        context.files.write(gone)
    }

    /// Kills until nothing lives, however long that takes: a process in an uninterruptible wait ends when that does.
    private func killAll() {
        var round = 0
        tree.kill()
        while !tree.isEmpty() {
            usleep(round < 50 ? 5_000 : 50_000)
            round += 1
            // Who was forked while the first round was sent is in the second.
            if round % 10 == 0 { tree.kill() }
        }
    }

    /// Takes the ended ones' entries from the kernel. The head is the watcher's.
    private func reapAll() {
        for _ in 0..<400 {
            if state.withLock({ $0.hasExited }) { break }
            usleep(5_000)
        }
        let members = state.withLock { state -> [Int32: Member] in
            let members = state.members
            state.members = [:]
            return members
        }
        for member in members.values where member.pidfd >= 0 {
            if let token = member.token { ExitWatcher.shared.forget(token, pidfd: member.pidfd) }
            var code: Int32 = 0
            var status: Int32 = 0
            stoker_pidfd_reap(member.pidfd, &code, &status)
            close(member.pidfd)
        }
        for entry in ProcessTable.all() where entry.parent == getpid() && entry.isZombie {
            if entry.session == pid || members[entry.pid]?.started == entry.started {
                var status: Int32 = 0
                waitpid(entry.pid, &status, WNOHANG)
            }
        }
    }
}
