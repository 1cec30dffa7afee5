import Fleet

/// The daemon's one ``GPUAllotment``, and the turns in which servers on one processor start: two that measure free
/// memory at the same time each take the other's use for granted and fail.
actor GPUAllocator {
    private var allotment: GPUAllotment
    private var starting: [String: Set<String>] = [:]

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
    }

    /// Takes the turn to start on the processors that an instance was given; or says whose turn it is.
    func takeTurn(_ instance: String) -> String? {
        let mine = Set(allotment.grant(of: instance)?.devices.map(\.uuid) ?? [])
        guard !mine.isEmpty else { return nil }
        for (other, theirs) in starting where other != instance && !theirs.isDisjoint(with: mine) { return other }
        starting[instance] = mine
        return nil
    }

    /// The start is over, one way or the other.
    func endTurn(_ instance: String) { starting[instance] = nil }
}
