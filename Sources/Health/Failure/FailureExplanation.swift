/// Why an engine ended, from its last log lines and the way it ended.
public struct FailureExplanation: Sendable, Hashable {
    /// What happened.
    public var kind: FailureKind
    /// One sentence, without the exit's own words: "not enough GPU memory".
    public var detail: String
    /// The log lines that explain it, at most ``maximumLines``, in the log's order.
    public var lines: [String]
    /// What to do about it.
    public var hint: String?
    /// Whether a further start must fail in the same way: wrong arguments, a model not found or gated.
    public var isPermanent: Bool

    /// The most lines that are given as an explanation.
    public static let maximumLines = 8
    /// Longer lines are cut.
    public static let maximumLineLength = 500
    /// How many of the last lines are looked at.
    public static let searchedLines = 2000

    /// Explains an end.
    ///
    /// A cause that the log names goes before the way it ended: vLLM's head exits 0 or 1 whatever its engine died of.
    ///
    /// - Parameters:
    ///   - log: The last lines of the log, oldest first.
    ///   - end: How the head process ended; nil when another member of its tree ended first.
    ///   - duringStart: Whether it never got as far as listening. Only then is a cause of failing starts looked for:
    ///     later its log may quote what clients sent.
    public static func explain(log: [String], end: ProcessEnd?, duringStart: Bool) -> FailureExplanation {
        var lines = log.suffix(searchedLines).map(LogText.plain)
        var isStart = duringStart
        if let listening = lines.lastIndex(where: { $0.hasSuffix("Application startup complete.") }) {
            lines.removeFirst(listening + 1)
            isStart = false
        }
        for rule in FailureRule.ordered where isStart || !rule.kind.isOfStart {
            guard let index = rule.place(in: lines) else { continue }
            return FailureExplanation(
                kind: rule.kind, detail: rule.detail(of: lines[index]), lines: excerpt(of: lines, around: index),
                hint: rule.hint, isPermanent: rule.kind.isPermanent)
        }
        if let end, let explained = explain(end: end, lines: lines) { return explained }
        if let (index, message) = PythonTraceback.lastCause(in: lines) {
            if ["ModuleNotFoundError: ", "ImportError: "].contains(where: { message.hasPrefix($0) }) {
                return FailureExplanation(
                    kind: .missingModule, detail: message, lines: excerpt(of: lines, around: index),
                    hint: "the installation of vLLM is incomplete: reinstall it in its environment", isPermanent: false)
            }
            return FailureExplanation(
                kind: .pythonError, detail: message, lines: excerpt(of: lines, around: index),
                hint: "the log has the whole traceback: 'stoker logs NAME --previous'", isPermanent: false)
        }
        let deaths = ["exited unexpectedly", "died unexpectedly"]
        let death =
            lines.firstIndex { line in deaths.contains { line.contains($0) } }
            ?? lines.lastIndex { WarmupPlan.isEngineDeath($0) }
        if let death {
            return FailureExplanation(
                kind: .engineDied, detail: "vLLM's engine process died", lines: excerpt(of: lines, around: death),
                hint: "look at the kernel's log for the out-of-memory killer and GPU errors (Xid)", isPermanent: false)
        }
        if let (index, message) = PythonTraceback.lastCause(in: lines, ofWrappers: true) {
            return FailureExplanation(
                kind: .pythonError, detail: message, lines: excerpt(of: lines, around: index),
                hint: "the log has the whole traceback: 'stoker logs NAME --previous'", isPermanent: false)
        }
        return FailureExplanation(
            kind: .exited, detail: end.map { "ended by itself, \($0)" } ?? "ended by itself",
            lines: tail(of: lines), hint: nil, isPermanent: false)
    }

    private static func explain(end: ProcessEnd, lines: [String]) -> FailureExplanation? {
        let last = tail(of: lines)
        switch end {
        case .signal(9):
            return FailureExplanation(
                kind: .killed, detail: "killed by SIGKILL: the kernel's out-of-memory killer, or somebody", lines: last,
                hint: "look at the kernel's log for 'Out of memory'; give the machine more memory, or the engine less",
                isPermanent: false)
        case .signal(4):
            return FailureExplanation(
                kind: .illegalInstruction, detail: "this CPU lacks an instruction that the build uses", lines: last,
                hint: "use a build of vLLM or torch for this CPU (x86-64 builds need AVX2 or AVX-512)",
                isPermanent: false)
        case .signal(7):
            return FailureExplanation(
                kind: .sharedMemory, detail: "bus error: most likely /dev/shm is full", lines: last,
                hint: FailureRule.sharedMemoryHint, isPermanent: false)
        case .signal(11), .signal(6), .signal(8):
            return FailureExplanation(
                kind: .crashed, detail: "crashed, \(end)", lines: last,
                hint: "a bug in vLLM, torch or a driver: the kernel's log and vLLM's issues may know it",
                isPermanent: false)
        case .code(126), .code(127):
            return FailureExplanation(
                kind: .launch, detail: "the command could not be run, \(end)", lines: last,
                hint: "check 'command' and that vllm is on the daemon's PATH", isPermanent: false)
        default: return nil
        }
    }

    /// The line itself with what stands around it: mostly what comes before says where, the line says why.
    private static func excerpt(of lines: [String], around index: Int) -> [String] {
        let end = min(lines.count, index + 3)
        return lines[max(0, end - maximumLines)..<end].filter { !$0.isEmpty }.map(cut)
    }

    private static func tail(of lines: [String]) -> [String] {
        lines.filter { !$0.isEmpty }.suffix(maximumLines).map(cut)
    }

    private static func cut(_ line: String) -> String {
        line.count > maximumLineLength ? String(line.prefix(maximumLineLength)) + "…" : line
    }
}
