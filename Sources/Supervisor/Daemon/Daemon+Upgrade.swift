import CLinux
import Fleet
import Glibc
import Logging

/// Becoming a new program: rehearsed first, then executed in place, with the same pid, the same children and the sockets
/// on which clients wait.
extension Daemon {
    /// What a new program would do, from its own mouth; nil where the file at our path is the one that runs.
    func rehearse() async throws(ControlFailure) -> ReloadReport? {
        guard options.executable.isReplaced else { return nil }
        let path = options.executable.path
        let outcome = await Rehearsal.run(path, option: source.option, environment: options.environment)
        switch outcome {
        case .success(let answer):
            var report = answer.plan
            report.successor = answer.version
            return report
        case .failure(let refusal) where refusal.isConfiguration: throw .refused(refusal.reason)
        case .failure(let refusal):
            let line = String(refusal.reason.map { $0.isNewline ? " " : $0 }.prefix(300))
            stand(.program, "the new program was not taken over, \(options.version) goes on: \(line)")
            logger.error("the new program cannot take over", metadata: ["reason": "\(refusal.reason)"])
            throw .failed(
                "\(refusal.reason)\nversion \(options.version) goes on, with its configuration: put a program that "
                    + "works at \(path), and reload again")
        }
    }

    /// Executes the new program; comes back only where that fails.
    func handOver(_ number: Int) async {
        // Whoever has asked for it gets an answer first.
        await admin?.quiet(within: .seconds(1))
        let signals = Signals.pause(true)
        await keeper.freeze(true)
        var problem = "a server is being launched and does not get to its end"
        if await spawner.gate.close(within: .seconds(10)) {
            problem = await execute(number, signals)
            spawner.gate.open()
        }
        await keeper.freeze(false)
        _ = Signals.pause(false)
        let sentence = "\(options.executable.path) could not be executed: \(problem)"
        stand(.program, "the new program was not taken over, \(options.version) goes on: \(sentence)")
        logger.error("the new program could not be executed", metadata: ["reason": "\(problem)"])
        await endReload(.failed, sentence)
    }

    private func execute(_ number: Int, _ signals: Int32?) async -> String {
        var handover = Handover(version: options.version)
        handover.signals = signals
        handover.lock = state.lock
        handover.gatewaySockets = await keeper.listeners.map(\.descriptor)
        handover.adminSockets = await admin?.descriptors
        handover.openFiles = openFiles
        handover.accepted = acceptedText
        handover.isReadySent = reporter.isReadySent
        handover.reload = number
        handover.gatewayRestarts = await keeper.restarts
        var memories: [String: InstanceMemory] = [:]
        for (name, owner) in owners {
            memories[name] = await owner.bequest
            // The reload that this is part of gives it another try.
            memories[name]?.failed = nil
        }
        handover.instances = memories
        // A stop that was asked for before the pause comes first; one since then waits in the pipe.
        try? await Task.sleep(for: .milliseconds(20))
        guard !isStopping else { return "the daemon is stopping" }
        guard let descriptor = handover.write() else { return SystemFile.reason() }
        defer { close(descriptor) }
        logger.notice(
            "the new program takes over", metadata: ["path": "\(options.executable.path)", "pid": "\(getpid())"])
        var environment = options.environment.filter { !$0.key.hasPrefix("LISTEN_") }
        environment[Handover.variable] = "\(descriptor)"
        // No thread outlives what comes now.
        pump?.flush(within: .seconds(1))
        let kept = handover.descriptors + [descriptor]
        let error = CStrings.withArray(options.arguments) { arguments in
            CStrings.withArray(environment.map { "\($0.key)=\($0.value)" }) { variables in
                stoker_become(options.executable.path, arguments, variables, kept, Int32(kept.count))
            }
        }
        return SystemFile.reason(error)
    }
}

extension Handover {
    /// The configuration that was in charge, read again by this program; nil where it cannot.
    func configuration(of source: ConfigurationSource) -> ConfigurationSource.Loaded? {
        guard let accepted else { return source.loadEnvironment() }
        let loaded = source.load(instead: accepted.text, from: accepted.file)
        return loaded.configuration == nil ? nil : loaded
    }
}
