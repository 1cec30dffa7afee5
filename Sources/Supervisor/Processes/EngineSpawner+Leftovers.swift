import Fleet
import Glibc

/// What an earlier life of the daemon left: ended where it is provably ours, taken over where it is still wanted.
extension EngineSpawner {
    /// Ends what is left of an instance's earlier runs and cleans up after them; a sentence where something does not
    /// end. Only processes that the record proves to be ours (pid, start time, boot), or that are in the cgroup that
    /// only this daemon would have made.
    func endLeftovers(of instance: String) async -> String? {
        let patience = Instant.now() + Self.leftoverPatience
        while true {
            let problem = await blocking(instance) { self.endLeftoversOnce(of: instance) }
            guard let problem else { return nil }
            if Instant.now() >= patience || Task.isCancelled { return problem }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private func endLeftoversOnce(of instance: String) -> String? {
        let file = context.files.read(instance)
        for tree in leftovers(of: instance, file) where !tree.isEmpty() {
            context.logger.notice(
                "ending what an earlier life of the daemon left",
                metadata: ["instance": "\(instance)", "tree": "\(tree.description)"])
            tree.kill()
            for _ in 0..<100 where !tree.isEmpty() { usleep(10_000) }
            if !tree.isEmpty() {
                let pids = tree.members().map { "\($0.pid)" }.joined(separator: ", ")
                return "processes of an earlier run do not end: \(pids)"
            }
            tree.remove()
        }
        if let file, file.head != nil || !file.sharedMemory.isEmpty || file.endpoint != nil {
            context.clean(file)
            var gone = file
            gone.head = nil
            gone.members = []
            gone.endpoint = nil
            gone.sharedMemory = []
            context.files.write(gone)
        }
        return nil
    }

    /// The trees that may still hold something of an instance.
    private func leftovers(of instance: String, _ file: InstanceFile?) -> [any ProcessTree] {
        var trees: [any ProcessTree] = []
        if let cgroup = setup.trees.existing(for: instance) { trees.append(cgroup) }
        guard let file else { return trees + [strays(of: instance)].compactMap { $0 } }
        guard file.boot == ProcessTable.bootID, let head = file.head else { return trees }
        if let folder = file.cgroup, setup.trees.owns(folder), folder != trees.first?.folder,
            SystemFile.exists(folder)
        {
            trees.append(CgroupTree(path: folder))
        }
        var proven: [Int32: UInt64] = [:]
        var sessionIsOurs = false
        for member in [head] + file.members {
            guard let entry = ProcessTable.entry(member.pid), entry.started == member.started else { continue }
            proven[member.pid] = member.started
            if entry.session == head.pid { sessionIsOurs = true }
        }
        // While one of ours is in the session, its number cannot have become anyone else's. Otherwise only those that
        // are proven by themselves, with their descendants.
        let session = sessionIsOurs ? head : InstanceFile.Member(pid: .max, started: .max)
        trees.append(SessionTree(head: session.pid, started: session.started, known: proven, log: file.log))
        return trees
    }

    /// Processes that write to a log of this instance though no record tells of them: what is left where the record was
    /// lost and no cgroup holds the tree. Their output proves them ours.
    private func strays(of key: String) -> SessionTree? {
        guard case .session = setup.trees.kind else { return nil }
        let instance = InstancePlan.name(ofKey: key)
        let folders = [context.logs.folder, spareLogs.folder].map { "\($0)/\(instance)/" }
        // The other slot's run is its own record's.
        let others = Set((0...1).compactMap { context.files.read(InstancePlan.key(instance, slot: $0))?.log })
        var known: [Int32: UInt64] = [:]
        for entry in ProcessTable.all() where entry.pid != getpid() && !entry.isZombie {
            let outputs = [1, 2].compactMap { SystemFile.link("/proc/\(entry.pid)/fd/\($0)") }
            if outputs.contains(where: { path in
                path.hasSuffix(".log") && !others.contains(path) && folders.contains { path.hasPrefix($0) }
            }) {
                known[entry.pid] = entry.started
            }
        }
        return known.isEmpty ? nil : SessionTree(head: .max, started: .max, known: known)
    }

    /// The numbers in the names of the sockets that servers of an earlier life may still listen by, by instance.
    func earlierNumbers() -> [String: Int] {
        var numbers: [String: Int] = [:]
        for name in context.files.names() {
            guard let file = context.files.read(name), case .unix(let path)? = file.endpoint?.address,
                context.ownsSocket(path),
                let number = path.split(separator: "/").last?.split(separator: ".").first
            else { continue }
            numbers[file.instance] = Int(number)
        }
        return numbers
    }

    /// The runs of an instance that an earlier life left and whose heads live, of both slots.
    func left(of instance: String) -> [LeftRun] {
        (0...1).compactMap { slot in
            guard let file = context.files.read(InstancePlan.key(instance, slot: slot)),
                file.boot == ProcessTable.bootID, let head = file.head,
                ProcessTable.entry(head.pid)?.started == head.started
            else { return nil }
            return LeftRun(slot: slot, run: file.run, fingerprint: file.fingerprint)
        }
    }

    /// Holds the GPUs for a second run of an instance beside the first; false where there is no room for both.
    func reserve(_ plan: InstancePlan) async -> Bool {
        guard case .launched(let launch) = plan.provider.source else { return false }
        return await context.gpus.reserve(launch.gpus, for: plan.key)
    }

    /// Gives back what was reserved and not used.
    func unreserve(_ plan: InstancePlan) async { await context.gpus.release(plan.key) }

    /// See ``Spawner/adopt(_:logRead:report:)``.
    public func adopt(
        _ plan: InstancePlan, logRead: Int64?, report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> AdoptedServer? {
        guard case .launched(let launch) = plan.provider.source else { return nil }
        let name = plan.key
        let queue = queue(name)
        let process = await blocking(name) { () -> EngineProcess? in
            guard let file = self.context.files.read(name), file.boot == ProcessTable.bootID,
                file.fingerprint == InstanceFile.fingerprint(of: launch), let head = file.head,
                let entry = ProcessTable.entry(head.pid), entry.started == head.started,
                // One that has ended and is ours to reap tells how: its end is an event like any other.
                !entry.isZombie || entry.parent == getpid(),
                let endpoint = file.endpoint, let path = file.log,
                // Not for the sake of its log is a server ended that works.
                let log = RunLog(path: path, fromEnd: true, read: logRead)
                    ?? self.openLog(InstanceRun(instance: file.instance, run: file.run))
            else { return nil }
            let tree: any ProcessTree
            if let folder = file.cgroup, self.setup.trees.owns(folder), SystemFile.exists(folder) {
                tree = CgroupTree(path: folder)
            } else {
                tree = SessionTree(
                    head: head.pid, started: head.started,
                    known: Dictionary(
                        file.members.map { ($0.pid, $0.started) }, uniquingKeysWith: { first, _ in first }),
                    log: path)
            }
            return EngineProcess(
                pid: head.pid, started: head.started, file: file, endpoint: endpoint, log: log, tree: tree,
                context: self.context, queue: queue, report: report)
        }
        guard let process else { return nil }
        _ = await context.gpus.allot(launch.gpus, to: name)
        process.begin()
        return AdoptedServer(run: process.run.run, server: process)
    }
}
