import CLinux
import Fleet
import Glibc

/// One launch, step by step.
extension EngineSpawner {
    /// See ``Spawner/launch(_:report:)``.
    public func launch(
        _ order: LaunchOrder, report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> Result<any LaunchedServer, LaunchFailure> {
        let name = order.plan.key
        if let problem = await endLeftovers(of: name) {
            return .failure(Task.isCancelled ? .cancelled : .waiting(problem))
        }
        let result = await launchPrepared(order, report)
        if case .failure = result { await context.gpus.release(name) }
        return result
    }

    private func launchPrepared(
        _ order: LaunchOrder, _ report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> Result<any LaunchedServer, LaunchFailure> {
        let name = order.plan.key
        let grant: GPUAllotment.Grant
        switch await context.gpus.allot(order.launch.gpus, to: name) {
        case .success(let granted): grant = granted
        case .failure(.taken(let why)): return .failure(.waiting(why))
        case .failure(.impossible(let why)):
            return .failure(
                .permanent(
                    Fault(kind: "gpus", detail: why), hint: "change 'gpus' of provider \(order.plan.provider.name)"))
        }
        while let other = await context.gpus.takeTurn(name) {
            report(.waiting("waits until \(other) has started on the same GPU"))
            try? await Task.sleep(for: .milliseconds(200))
            if Task.isCancelled { return .failure(.cancelled) }
        }
        while true {
            // Again after each wait: somebody else may have taken the memory meanwhile.
            if let failure = await waitForMemory(order, grant, report) { return .failure(failure) }
            if Task.isCancelled { return .failure(.cancelled) }
            guard let other = await context.gpus.takeStart(name) else { break }
            let first = InstancePlan.name(ofKey: other)
            report(.waiting("waits for its turn: \(first) reads its weights (starts_at_once)"))
            try? await Task.sleep(for: .milliseconds(200))
        }
        let result = await blocking(name) { () -> Result<EngineProcess, LaunchFailure> in
            self.gate.enter()
            defer { self.gate.leave() }
            return self.spawn(order, grant, report)
        }
        if case .success(let process) = result { process.begin() }
        return result.map { $0 }
    }

    /// Waits, within bounds, until the GPUs have the memory that the server will ask for.
    private func waitForMemory(
        _ order: LaunchOrder, _ grant: GPUAllotment.Grant, _ report: @escaping @Sendable (ServerEvent) -> Void
    ) async -> LaunchFailure? {
        guard !grant.devices.isEmpty else { return nil }
        let version = await blocking(order.plan.key) {
            self.versions.version(of: order.launch.command, environment: self.environment(order, grant))
        }
        let share = LaunchCommand.memoryShare(order.launch.args, version: version)
        let deadline = Instant.now() + Self.memoryPatience
        while true {
            let problem = await blocking(order.plan.key) { () -> String? in
                for device in grant.devices {
                    guard let memory = self.setup.gpus.memory(of: device.uuid) else { continue }
                    let needed = UInt64(Double(memory.total) * share)
                    if memory.free < needed { return Self.describe(device, memory, needed: needed) }
                }
                return nil
            }
            guard let problem else { return nil }
            report(.waiting(problem))
            if Instant.now() >= deadline { return .waiting(problem) }
            try? await Task.sleep(for: .milliseconds(500))
            if Task.isCancelled { return .cancelled }
        }
    }

    private static func describe(_ device: GPU, _ memory: GPUMemory, needed: UInt64) -> String {
        func gibibytes(_ bytes: UInt64) -> String { "\((Double(bytes) / Double(1 << 30) * 10).rounded() / 10) GiB" }
        let holders = memory.holders.sorted { $0.value > $1.value }.prefix(3).map { pid, bytes in
            // The short name: unlike the command line it can be read whatever the process is stuck in.
            let command = (SystemFile.text("/proc/\(pid)/comm", limit: 64) ?? "").prefix { $0 != "\n" }
            return "pid \(pid)\(command.isEmpty ? "" : " (\(command))") holds \(gibibytes(bytes))"
        }
        let who = holders.isEmpty ? "" : ": " + holders.joined(separator: ", ")
        return
            "waits for memory of GPU \(device.index), \(gibibytes(memory.free)) free of \(gibibytes(needed)) needed\(who)"
    }

    private func environment(_ order: LaunchOrder, _ grant: GPUAllotment.Grant) -> [String: String] {
        EngineEnvironment.make(
            inherited: setup.environment, provider: order.launch.env, devices: grant.visible, withheld: setup.withheld)
    }

    /// Everything that blocks: version, socket, log, cgroup, process.
    private func spawn(
        _ order: LaunchOrder, _ grant: GPUAllotment.Grant, _ report: @escaping @Sendable (ServerEvent) -> Void
    ) -> Result<EngineProcess, LaunchFailure> {
        let launch = order.launch
        let run = InstanceRun(instance: order.plan.name, run: order.run)
        let environment = environment(order, grant)
        guard let word = launch.command.first, EngineInterpreter.resolve(word, path: environment["PATH"]) != nil else {
            let detail = "the command '\(launch.command.first ?? "")' is not found on the PATH or cannot be executed"
            return .failure(
                .permanent(
                    Fault(kind: "launch", detail: detail),
                    hint: "install vLLM, or name the whole path in 'command' of provider \(order.plan.provider.name)"))
        }
        let version = versions.version(of: launch.command, environment: environment)
        let binding: LaunchCommand.Binding
        let endpoint: Endpoint
        switch bind(launch, version: version, number: order.plan.number, run: order.run) {
        case .success(let place): (binding, endpoint) = place
        case .failure(let failure): return .failure(failure)
        }
        let result = start(order, run, version, binding, endpoint, environment, grant, report)
        if case .failure = result, case .tcp(let port) = binding { context.ports.giveBack(port) }
        return result
    }

    private func bind(
        _ launch: LaunchConfiguration, version: EngineVersion?, number: Int, run: UInt64
    ) -> Result<(LaunchCommand.Binding, Endpoint), LaunchFailure> {
        if LaunchCommand.usesUnixSocket(launch, version: version) {
            let folder = setup.directories.instanceSockets
            let path = "\(folder)/\(number).\(run).sock"
            guard path.utf8.count <= 107 else {
                let detail = "the socket \(path) is longer than a socket's name may be (107 bytes)"
                return .failure(
                    .permanent(Fault(kind: "launch", detail: detail), hint: "choose a shorter runtime directory"))
            }
            if let problem = SystemFile.makeFolder(folder, mode: 0o700) {
                return .failure(.transient(Fault(kind: "launch", detail: problem)))
            }
            chmod(folder, 0o700)
            unlink(path)
            return .success((.unix(path: path), Endpoint(address: .unix(path: path), host: "localhost")))
        }
        guard let port = context.ports.take() else {
            return .failure(.transient(Fault(kind: "launch", detail: "no free port of 127.0.0.1 can be had")))
        }
        let endpoint = Endpoint(address: .tcp(ip: "127.0.0.1", port: port), host: "127.0.0.1:\(port)")
        return .success((.tcp(port: port), endpoint))
    }

    private func start(
        _ order: LaunchOrder, _ run: InstanceRun, _ version: EngineVersion?, _ binding: LaunchCommand.Binding,
        _ endpoint: Endpoint, _ environment: [String: String], _ grant: GPUAllotment.Grant,
        _ report: @escaping @Sendable (ServerEvent) -> Void
    ) -> Result<EngineProcess, LaunchFailure> {
        let command = LaunchCommand(
            order.launch, version: version, binding: binding, gpus: grant.visible?.count ?? 0)
        guard let log = openLog(run) else {
            return .failure(Self.failure("no log can be written", errno))
        }
        var file = InstanceFile(instance: run.instance, run: run.run, boot: ProcessTable.bootID)
        file.endpoint = endpoint
        file.gpus = grant.visible ?? []
        file.log = log.path
        file.slot = order.plan.slot == 0 ? nil : order.plan.slot
        file.fingerprint = InstanceFile.fingerprint(of: order.launch)
        // Before the process is there: a run's number is never used again, whatever happens next.
        note(context.files.write(file), run)
        let tree: any ProcessTree
        switch setup.trees.make(for: order.plan.key, log: log.path) {
        case .success(let made): tree = made
        case .failure(let fault): return .failure(.transient(fault))
        }
        let arguments = Trampoline.arguments(
            executable: setup.executable, join: tree.joinFile, log: log.path, openFiles: setup.openFiles,
            oomScore: setup.oomScore, command: command.arguments)
        switch Self.execute(setup.executable, arguments, environment) {
        case .failure(let failure):
            tree.remove()
            return .failure(failure)
        case .success(let pid):
            // Not reaped before we say so, so there is an entry even where it has ended already.
            let started = ProcessTable.entry(pid)?.started ?? 0
            file.head = InstanceFile.Member(pid: pid, started: started)
            file.members = [InstanceFile.Member(pid: pid, started: started)]
            file.cgroup = tree.folder
            note(context.files.write(file), run)
            context.logger.info(
                "launched a server",
                metadata: [
                    "instance": "\(run.instance)", "run": "\(run.run)", "pid": "\(pid)",
                    "vllm": "\(version.map(\.description) ?? "unknown version")", "endpoint": "\(endpoint)",
                ])
            return .success(
                EngineProcess(
                    pid: pid, started: started, file: file, endpoint: endpoint, log: log, tree: tree, context: context,
                    queue: queue(order.plan.key), report: report))
        }
    }

    /// The run's log; below the runtime directory where the state directory cannot be written, or is as good as full: a
    /// Python that cannot write to its standard output may end for that.
    func openLog(_ run: InstanceRun) -> RunLog? {
        if let problem = context.logs.prepare(run) {
            note(problem, run)
        } else if SystemFile.freeBytes(at: context.logs.folder) ?? .max < Self.leastRoom {
            note("the disk of \(context.logs.folder) is full; this run's log is below the runtime directory", run)
        } else if let log = RunLog(path: context.logs.path(run)) {
            return log
        }
        let spare = spareLogs
        note(spare.prepare(run), run)
        return RunLog(path: spare.path(run))
    }

    private func note(_ problem: String?, _ run: InstanceRun) {
        guard let problem else { return }
        context.logger.warning("state cannot be kept", metadata: ["instance": "\(run)", "reason": "\(problem)"])
    }

    /// A launch that could not be tried. Where this machine has run out of something it is put off and spends no budget: it
    /// says nothing about the server.
    private static func failure(_ what: String, _ code: Int32) -> LaunchFailure {
        let detail = "\(what): \(SystemFile.reason(code))"
        let shortages = [EMFILE, ENFILE, ENOMEM, EAGAIN, ENOSPC]
        return shortages.contains(code)
            ? .waiting("waits: \(detail)") : .transient(Fault(kind: "launch", detail: detail))
    }

    /// Spawns the trampoline and waits until it has become the engine, or has said why not.
    static func execute(
        _ executable: String, _ arguments: [String], _ environment: [String: String]
    ) -> Result<Int32, LaunchFailure> {
        var ends: [Int32] = [0, 0]
        guard stoker_pipe(&ends) == 0 else {
            return .failure(failure("no pipe can be made", errno))
        }
        defer { close(ends[0]) }
        var pid: pid_t = 0
        let error = CStrings.withArray(arguments) { arguments in
            CStrings.withArray(environment.map { "\($0.key)=\($0.value)" }) { variables in
                stoker_spawn(executable, arguments, variables, ends[1], &pid)
            }
        }
        close(ends[1])
        guard error == 0 else {
            return .failure(failure("\(executable) cannot be started", error))
        }
        guard let complaint = complaint(ends[0]) else {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            return .failure(
                .transient(Fault(kind: "launch", detail: "the trampoline did not get to its end within 30 s")))
        }
        if complaint.isEmpty { return .success(pid) }
        waitpid(pid, nil, 0)
        let parts = complaint.split(separator: " ", maxSplits: 1)
        let code = parts.first.flatMap { Int32($0) } ?? 0
        let stage = parts.count > 1 ? parts[1].filter { $0 != "\n" } : "launch"
        let detail = "cannot launch: \(stage): \(SystemFile.reason(code))"
        if stage == "exec", [ENOENT, EACCES, ENOEXEC, ENOTDIR].contains(code) {
            return .failure(
                .permanent(Fault(kind: "launch", detail: detail), hint: "check 'command': it cannot be executed"))
        }
        return .failure(.transient(Fault(kind: "launch", detail: detail)))
    }

    /// What the trampoline has to say: nothing when it became the engine, nil when it takes too long.
    private static func complaint(_ channel: Int32) -> String? {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 256)
        var poller = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
        while true {
            let ready = poll(&poller, 1, 30_000)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return nil }
            let count = read(channel, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece[0..<count]
        }
    }
}
