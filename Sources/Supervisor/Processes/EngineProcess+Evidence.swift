import Fleet
import Glibc

/// What is written down about a condemned tree before it is killed: why, what the witnesses said, GPUs, and of each thread
/// its state, wait channel and stacks.
extension EngineProcess {
    /// How long py-spy may take for one process.
    private static let stackPatience: Duration = .seconds(3)

    func save(evidence: String, _ living: [ProcessTable.Entry]) {
        var text = "\(run) at \(Timestamp.text(milliseconds: SystemClock().wallMilliseconds())): \(evidence)\n"
        text += processors()
        for entry in living { text += threads(of: entry, room: (1 << 20) - text.utf8.count) }
        text += "\nlast lines of its log:\n" + log.lastLines.suffix(100).map { "  \($0)\n" }.joined()
        let path = log.path.hasSuffix(".log") ? "\(log.path.dropLast(4)).evidence" : "\(log.path).evidence"
        // Kept without Python's stacks first: asking for those may take longer than there is time.
        keep(text, at: path)
        let stacks = pythonStacks(living)
        if !stacks.isEmpty { keep(text + stacks, at: path) }
    }

    private func keep(_ text: String, at path: String) {
        if let problem = SystemFile.replace(path, with: Array(text.utf8), mode: 0o640) {
            context.logger.warning(
                "evidence could not be saved", metadata: ["instance": "\(run)", "reason": "\(problem)"])
        } else {
            state.withLock { $0.evidencePath = path }
        }
    }

    /// The GPUs that it was given: memory, who holds it, how busy they are.
    private func processors() -> String {
        let devices = context.inventory.devices().filter { device in
            gpus.contains("\(device.index)") || gpus.contains(device.uuid)
        }
        return devices.map { device in
            var line = "GPU \(device.index) (\(device.name))"
            if let memory = context.inventory.memory(of: device.uuid) {
                line += ", \(memory.free >> 20) of \(memory.total >> 20) MiB free"
                for (pid, bytes) in memory.holders.sorted(by: { $0.value > $1.value }) {
                    line += ", pid \(pid) holds \(bytes >> 20) MiB"
                }
            }
            if let busy = context.inventory.utilization(of: device.uuid) { line += ", \(Int(busy * 100)) % busy" }
            return line + "\n"
        }.joined()
    }

    private func threads(of entry: ProcessTable.Entry, room: Int) -> String {
        var text = "\npid \(entry.pid): \(ProcessTable.commandLine(entry.pid).prefix(400))\n"
        for thread in SystemFile.names(in: "/proc/\(entry.pid)/task").sorted().prefix(256) {
            let folder = "/proc/\(entry.pid)/task/\(thread)"
            func line(_ name: String) -> String {
                let text = SystemFile.text("\(folder)/\(name)", limit: 4096) ?? ""
                return text.split(separator: "\n").first.map(String.init) ?? ""
            }
            let state = ProcessTable.parse(SystemFile.bytes("\(folder)/stat", limit: 4096) ?? [], pid: entry.pid)
            let letter = state.map { String(decoding: [$0.state], as: UTF8.self) } ?? "?"
            text += "  thread \(thread) \(line("comm")) state \(letter) waits in \(line("wchan"))\n"
            if let stack = SystemFile.text("\(folder)/stack", limit: 4096), !stack.isEmpty {
                text += stack.split(separator: "\n").map { "    \($0)\n" }.joined()
            }
            if text.utf8.count > room { break }
        }
        return text
    }

    /// Python's own stacks, by py-spy where that is installed: beside the engine's interpreter, or on the PATH.
    private func pythonStacks(_ living: [ProcessTable.Entry]) -> String {
        let words = living.prefix(1).compactMap { SystemFile.bytes("/proc/\($0.pid)/cmdline", limit: 4096) }
        let beside = words.first?.split(separator: 0).prefix(2).compactMap { word -> String? in
            let path = String(decoding: word, as: UTF8.self)
            guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return nil }
            return EngineInterpreter.resolve("\(path[..<slash])/py-spy", path: nil)
        }
        guard let tool = beside?.first ?? EngineInterpreter.resolve("py-spy", path: context.path) else { return "" }
        var text = ""
        for entry in living.prefix(8) {
            // Without a pause: a stopped process would not come to one.
            let outcome = ProgramRun.run(
                tool, [tool, "dump", "--nonblocking", "--pid", "\(entry.pid)"],
                environment: context.path.map { ["PATH": $0] } ?? [:], patience: Self.stackPatience)
            switch outcome {
            case .success(let end):
                text += "\npy-spy of pid \(entry.pid) \(end.description):\n\(end.output)\(end.errors)\n"
            case .failure(let failure): text += "\npy-spy of pid \(entry.pid): \(failure.reason)\n"
            }
        }
        return text
    }
}
