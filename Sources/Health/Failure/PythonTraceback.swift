/// Finds the exception that a Python log ends with.
enum PythonTraceback {
    /// The place and text of the last exception; those of vLLM's parent processes, which only say that a child failed,
    /// are left out or are all that is looked for.
    static func lastCause(in lines: [String], ofWrappers: Bool = false) -> (index: Int, message: String)? {
        var found: (index: Int, message: String)?
        var isInside = false
        for (index, line) in lines.enumerated() {
            let message = LogText.message(of: line)
            if message.hasPrefix("Traceback (most recent call last)") {
                isInside = true
            } else if isInside, !message.isEmpty, message.first?.isWhitespace == false {
                // Frames are indented; the first line that is not is the exception.
                isInside = false
                guard isException(message) else { continue }
                let text = String(message.prefix(300))
                if wrappers.contains(where: { message.contains($0) }) == ofWrappers { found = (index, text) }
            }
        }
        return found
    }

    /// `ValueError: …`, `torch.cuda.OutOfMemoryError: …`, `KeyboardInterrupt`
    private static func isException(_ text: Substring) -> Bool {
        let name = text.prefix { $0 != ":" }
        guard let first = name.first, first.isLetter || first == "_" else { return false }
        return name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" }
    }

    /// What vLLM's parent processes say when a child has failed.
    private static let wrappers = [
        "Engine core initialization failed", "EngineDeadError", "EngineCore encountered an issue",
        "WorkerProc initialization failed", "Worker failed with error", "See root cause above", "SystemExit",
        "KeyboardInterrupt", "CancelledError",
    ]
}
