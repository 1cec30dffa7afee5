import Fleet

/// The daemon's one ``GPUAllotment``, and the turns in which servers start: two on one processor that measure free memory at
/// the same time each take the other's use for granted and fail; and not too many read weights at once (``StartTurns``).
actor GPUAllocator {
    private var allotment: GPUAllotment
    private var starting: [String: Set<String>] = [:]
    private var turns = StartTurns(limit: 0)

    /// Nobody has anything.
    init(devices: [GPU]) { allotment = GPUAllotment(devices: devices) }

    /// Gives an instance what it asks for.
    func allot(_ request: LaunchConfiguration.GPURequest, to instance: String) -> Result<
        GPUAllotment.Grant, GPUAllotment.Refusal
    > {
        allotment.allot(request, to: instance)
    }

    /// Gives what is asked for where nobody else has any of it; whether it did.
    func reserve(_ request: LaunchConfiguration.GPURequest, for instance: String) -> Bool {
        allotment.reserve(request, for: instance)
    }

    /// Takes back what an instance has, and its turn.
    func release(_ instance: String) {
        allotment.release(instance)
        starting[instance] = nil
        turns.end(instance)
    }

    /// How many may read weights at one time; 0 is no limit.
    func limitStarts(to limit: Int) { turns.limit = limit }

    /// Takes a turn to read weights; or says whose end is waited for.
    func takeStart(_ instance: String) -> String? { turns.take(instance) }

    /// It has read its weights.
    func endStart(_ instance: String) { turns.end(instance) }

    /// Takes the turn to start on the processors that an instance was given; or says whose turn it is.
    func takeTurn(_ instance: String) -> String? {
        let mine = Set(allotment.grant(of: instance)?.devices.map(\.uuid) ?? [])
        guard !mine.isEmpty else { return nil }
        for (other, theirs) in starting where other != instance && !theirs.isDisjoint(with: mine) { return other }
        starting[instance] = mine
        return nil
    }

    /// The start is over, one way or the other.
    func endTurn(_ instance: String) {
        starting[instance] = nil
        turns.end(instance)
    }
}
