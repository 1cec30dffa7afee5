import Fleet

/// What a launched instance went through, as far as nobody else knows it: given to the program that takes over in place, and
/// kept for the one that is started after a crash. Instants stay what they are: it is the same boot.
public struct InstanceMemory: Codable, Sendable, Hashable {
    /// The run that it speaks of.
    var run: UInt64
    /// How often it was started again.
    var restarts: Int
    /// The same, by the failure's kind.
    var restartsByKind: [String: Int]?
    /// How long its newest start took until it was ready.
    var readyAfter: Duration?
    /// The last time it failed.
    var lastFailure: FailureNote?
    /// What was spent of its budgets.
    var spent: RestartPolicy.Spent?
    /// Since when the run has been ready, if it has.
    var readySince: Instant?
    /// Why it was given up, if it is.
    var failed: String?
    /// How far its log was read and forwarded, in bytes.
    var logRead: Int64?
}

extension Lifecycle {
    /// What would be lost with this process.
    var memory: InstanceMemory {
        InstanceMemory(
            run: run, restarts: restarts, restartsByKind: restartsByKind, readyAfter: readyAfter,
            lastFailure: lastFailure, spent: policy.spent, readySince: readySince,
            failed: state == .failed ? reason : rememberedFailure)
    }

    /// Takes what the program before this one knew; before anything else happens.
    mutating func remember(_ memory: InstanceMemory) {
        restarts = memory.restarts
        restartsByKind = memory.restartsByKind ?? [:]
        readyAfter = memory.readyAfter
        lastFailure = memory.lastFailure
        if let spent = memory.spent { policy.spent = spent }
        guard memory.run == run else { return }
        rememberedReady = memory.readySince
        rememberedFailure = memory.failed
    }
}
