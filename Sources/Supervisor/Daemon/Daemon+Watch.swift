import Fleet
import Glibc

/// What the daemon looks at every second beside its instances: its gateway, and whether the machine still gives it what it
/// needs. Whatever is missing is said, and harms nothing that works.
extension Daemon {
    /// Between two looks at the state directory, and two repetitions of STATUS.
    private static let pause = 10

    func tick() async {
        let now = Instant.now()
        ticks += 1
        let pid = await keeper.pid
        let heartbeats = if let pid { await registry.heartbeats(of: pid) } else { [] as [Instant] }
        if pulse.isStuck(pid: pid, heartbeats: heartbeats, at: now) {
            logger.error("a gateway loop has not turned for 5 s; the gateway is replaced")
            await keeper.replace()
        }
        let memory = configuration.gateway.memory ?? max(4 << 30, 2 * configuration.limits.bodyMemory)
        await keeper.weigh(against: UInt64(memory)) { ProcessTable.entry($0)?.residentBytes }
        await tell(.gateway, await keeper.trouble(at: now))
        await tell(.descriptors, SpareDescriptor.shortage())
        if ticks % Self.pause == 1 {
            Task { await self.tell(.state, await self.lookAtState()) }
            Task { await self.retryAdmin() }
            // Also finds out whether anybody listens.
            notify(reporter.again())
        }
        await tell(
            .notify,
            isUnheard ? "systemd does not take what it is told: what it shows of this unit is out of date" : nil)
        // The registry, the keeper and this actor have just answered; the probes' thread says when it last turned.
        notify(reporter.tick(isTurning: now - prober.lastTurn < .seconds(10), at: now))
    }

    func notify(_ messages: [String]) {
        if !messages.isEmpty { isUnheard = !notifier.send(messages.joined(separator: "\n")) }
    }

    /// Says something that is new, or that it is mended.
    func tell(_ kind: StandingNotice, _ text: String?) async {
        guard standing[kind] != text else { return }
        if let text {
            if standing[kind] == nil { logger.error("\(text)") }
        } else {
            logger.notice("mended", metadata: ["what": "\(kind.rawValue)"])
        }
        stand(kind, text)
        await registryChanged()
    }

    /// Whether the state directory can be written; a sentence where it cannot. On a thread of its own: a disk may hang.
    private func lookAtState() async -> String? {
        let directories = state.directories
        let problem = await withCheckedContinuation { (continuation: CheckedContinuation<String?, Never>) in
            BlockingThread.detach {
                let path = "\(directories.state)/writable"
                let problem = SystemFile.replace(path, with: [UInt8](repeating: 0x20, count: 4096))
                unlink(path)
                continuation.resume(returning: problem)
            }
        }
        return problem.map { Self.stateNotice($0, directories) }
    }

    static func stateNotice(_ problem: String, _ directories: Directories) -> String {
        "the state directory cannot be written (\(problem)): what runs goes on, and its records are in "
            + "\(directories.runtime) until it can; what is attached, stopped or accepted now is not kept over a restart"
    }
}
