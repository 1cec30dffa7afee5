import Fleet

/// One run as requests see it: everything a dispatch needs, in plain memory.
struct RunRoute: BitwiseCopyable {
    /// Its counts.
    var cell: RunPointer
    /// The instance's name, for `x-stoker-instance`.
    var name: ByteView
    /// The index of its provider in the table.
    var provider: Int32
    /// The `sockaddr`; empty when the address is none.
    var address: ByteView
    /// Which address this is: a pooled connection to another one is not used.
    var addressID: UInt64
    /// `host: …` and `authorization: Bearer …` lines as they are written.
    var lines: ByteView
    /// What stands before the path.
    var basePath: ByteView
    /// Whether requests are routed here.
    var published: Bool
    /// Whether something answers there as far as is known, published or not.
    var listens: Bool
    /// Whether the server speaks TLS.
    var isTLS: Bool
    /// The context that it is spoken with; nil where that cannot be made.
    var tls: UnsafeMutableRawPointer?
    /// The name that its certificate must say, a nought behind it.
    var tlsName: ByteView
}

/// One thing that a selector can name: `provider/model`, `instance/model`, or a bare id.
struct Target: BitwiseCopyable {
    /// The selector's bytes.
    var key: ByteView
    /// Their hash.
    var hash: UInt64
    /// Its runs are a stretch of ``RoutingTable/candidates``.
    var firstCandidate: Int32
    /// How many runs.
    var candidateCount: Int32
    /// The JSON string that replaces the body's `model`; empty when the body's own stays.
    var model: ByteView
    /// The number that measurements know the model by.
    var modelNumber: UInt16
}

/// A snapshot made ready for requests: flat memory, found by hash, never changed.
///
/// Made by the control thread, shared by all loops, kept alive by whoever routes by it.
final class RoutingTable: @unchecked Sendable {
    /// What it was made from; cold paths read names and reasons here.
    let snapshot: RegistrySnapshot
    /// Grows with each table of this process.
    let serial: UInt64
    /// What a client must show; nil when the gateway is open.
    let masterKey: ByteView?
    /// The runs with an endpoint.
    let runs: UnsafePointer<RunRoute>
    /// How many.
    let runCount: Int
    /// Indices of runs, in stretches by target.
    let candidates: UnsafePointer<Int32>
    /// What selectors can name.
    let targets: UnsafePointer<Target>
    /// The only published `provider/model`, when there is just one; else -1.
    let only: Int
    /// Which pages may use the gateway, and whether any may.
    let crossOrigin: CrossOrigin
    let hasCrossOrigin: Bool
    /// Bodies of `GET /v1/models`.
    let openAIModels: ByteView
    let anthropicModels: ByteView
    /// Numbers that measurements know providers by, in the table's order.
    let providerNumbers: [UInt16]
    private let slots: UnsafePointer<Int32>
    private let mask: Int
    private let arena: Arena

    init(
        snapshot: RegistrySnapshot, serial: UInt64, masterKey: ByteView?, runs: [RunRoute], candidates: [Int32],
        targets: [Target], only: Int, openAIModels: ByteView, anthropicModels: ByteView, providerNumbers: [UInt16],
        arena: consuming Arena
    ) {
        self.snapshot = snapshot
        crossOrigin = CrossOrigin(snapshot.settings.corsOrigins)
        hasCrossOrigin = crossOrigin.isEnabled
        self.serial = serial
        self.masterKey = masterKey
        self.only = only
        self.openAIModels = openAIModels
        self.anthropicModels = anthropicModels
        self.providerNumbers = providerNumbers
        runCount = runs.count
        self.runs = arena.store(runs)
        self.candidates = arena.store(candidates)
        self.targets = arena.store(targets)
        var size = 16
        while size < targets.count * 2 { size *= 2 }
        var slots = [Int32](repeating: -1, count: size)
        for (index, target) in targets.enumerated() {
            var slot = Int(truncatingIfNeeded: target.hash) & (size - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Int32(index)
        }
        self.slots = arena.store(slots)
        mask = size - 1
        self.arena = arena
    }

    /// The target of a selector's bytes, or -1.
    @inline(__always) func find(_ selector: ByteView) -> Int {
        let hash = selector.hash
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let index = Int(slots[slot])
            if index < 0 { return -1 }
            if targets[index].hash == hash, targets[index].key.equals(selector) { return index }
            slot = (slot &+ 1) & mask
        }
    }
}
