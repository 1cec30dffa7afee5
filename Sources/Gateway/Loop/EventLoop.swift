import CLinux
import Fleet
import Glibc
import Synchronization

typealias ClientPointer = UnsafeMutablePointer<ClientConnection>
typealias UpstreamPointer = UnsafeMutablePointer<UpstreamConnection>

/// One thread's loop: clients, their servers, and everything between them. Nothing in it is shared with another
/// thread but what ``Shared`` and ``LoopPort`` hold.
///
/// A connection that is closed keeps its place until the turn is over: whoever still holds a pointer finds it `free`.
final class EventLoop: @unchecked Sendable {
    /// The most bytes of a response that are held.
    static let holdLimit = 16 << 10
    /// Connections of clients where the configuration says nothing: half a gibibyte of half heads.
    static let usualConnections = 32_768
    /// The most interim responses before the one that counts.
    static let interimLimit: UInt16 = 32
    /// The most bytes that are copied to be written in one stretch.
    static let copyLimit = 4 << 10
    /// The most bytes of one read.
    static let readSize = 64 << 10

    let index: Int
    let shared: Shared
    let port: LoopPort
    let listeners: [GatewayOptions.Listener]
    let patience: Patience
    let headers = HeaderTable()
    /// Where responses are read to.
    let chunk: UnsafeMutablePointer<UInt8>
    /// Room for what is decoded in passing.
    let scratch: UnsafeMutablePointer<UInt8>
    let counters: UnsafeMutablePointer<LoopCounters>
    let measures: UnsafeMutablePointer<LoopMeasures>
    let poller = Poller()
    private let descriptorLimit: Int

    // Only this loop's thread touches these, never two accesses at a time: no dynamic checks.
    @exclusivity(unchecked) var clients = Slab<ClientConnection>()
    @exclusivity(unchecked) var upstreams = Slab<UpstreamConnection>()
    @exclusivity(unchecked) var pool = BufferPool()
    @exclusivity(unchecked) var wheel: TimerWheel
    @exclusivity(unchecked) var idle: IdlePool
    @exclusivity(unchecked) var random: Random
    @exclusivity(unchecked) var table: RoutingTable!
    @exclusivity(unchecked) var limits = GatewaySettings()
    @exclusivity(unchecked) var now: UInt64
    @exclusivity(unchecked) var closedClients: [ClientPointer] = []
    @exclusivity(unchecked) var closedUpstreams: [UpstreamPointer] = []
    @exclusivity(unchecked) var deferred: [Handle] = []
    @exclusivity(unchecked) private var resumed: [Handle] = []
    @exclusivity(unchecked) var paused: [Handle] = []
    // Whose head the table of fields holds, to save reading it twice where nothing came between.
    @exclusivity(unchecked) var headerOwner: UInt64 = 0
    @exclusivity(unchecked) var headerBase = UnsafePointer<UInt8>(bitPattern: 1)!
    @exclusivity(unchecked) var passthroughs: [PassthroughPath?] = []
    @exclusivity(unchecked) var freePassthroughs: [Int32] = []
    @exclusivity(unchecked) var uploads: [Upload?] = []
    @exclusivity(unchecked) var freeUploads: [Int32] = []
    @exclusivity(unchecked) var isAccepting = false
    @exclusivity(unchecked) var acceptAgainAt: UInt64 = 0
    @exclusivity(unchecked) var connectionLimit: Int
    @exclusivity(unchecked) var retireBy: UInt64?
    @exclusivity(unchecked) var retiredAt: UInt64 = 0
    @exclusivity(unchecked) var nextSweep: UInt64 = 0
    @exclusivity(unchecked) var nextLog: UInt64 = 0
    // Requests that wait for a place, oldest first; whether places may have become free for them.
    @exclusivity(unchecked) var queueFirst: ClientPointer?
    @exclusivity(unchecked) var queueLast: ClientPointer?
    @exclusivity(unchecked) var servesQueue = false
    // What origins have been allowed, by the number that a request keeps.
    @exclusivity(unchecked) var grants: [CrossOrigin.Grant] = []
    // Lines of the access log that this turn has made.
    @exclusivity(unchecked) var accessLines: [UInt8] = []
    @exclusivity(unchecked) var logsAccess = false
    @exclusivity(unchecked) var requestNumber: UInt64 = 0
    @exclusivity(unchecked) var turnNumber: UInt64 = 0
    @exclusivity(unchecked) private var isStopping = false

    /// A loop that has not begun to turn.
    init(
        index: Int, shared: Shared, port: LoopPort, listeners: [GatewayOptions.Listener], connectionLimit: Int,
        patience: Patience = Patience()
    ) {
        self.index = index
        self.shared = shared
        self.port = port
        self.listeners = listeners
        self.patience = patience
        self.connectionLimit = connectionLimit
        descriptorLimit = connectionLimit
        counters = port.counters
        measures = port.measures
        chunk = .allocate(capacity: Self.readSize + 64)
        scratch = .allocate(capacity: Self.readSize + 64)
        now = Instant.now().nanoseconds
        wheel = TimerWheel(now: now)
        idle = IdlePool(loop: index)
        var seed: UInt64 = 0
        stoker_random(&seed, 8)
        random = Random(seed: seed)
        poller.addWake(port.wake, Handle(.wake, index: 0, generation: 0))
    }

    /// Turns until told to stop, or retired and idle.
    func run() {
        while !isStopping {
            let limit: Int32 = !paused.isEmpty || acceptAgainAt != 0 || retireBy != nil ? 50 : 1000
            let timeout = deferred.isEmpty && !servesQueue ? wheel.timeout(now: now, limit: limit) : 0
            let count = poller.wait(milliseconds: timeout)
            now = Instant.now().nanoseconds
            counters.pointee.heartbeat.store(now, ordering: .relaxed)
            for position in 0..<count {
                let event = poller.events[position]
                handle(Handle(raw: event.data.u64), event.events)
            }
            if !deferred.isEmpty { runDeferred() }
            while let client = wheel.expired(now: now) { expire(client) }
            if now >= nextSweep { sweep() }
            if servesQueue { serveQueue() }
            recycle()
            noteTurn()
            if !accessLines.isEmpty { handOverLines() }
            if let retireBy { checkRetired(by: retireBy) }
        }
        closeAll()
        port.isDone.store(true, ordering: .releasing)
        shared.wakeControl()
    }

    private func handle(_ handle: Handle, _ events: UInt32) {
        switch handle.kind {
        case .client:
            let client = clients[handle.index]
            guard client.pointee.generation == handle.generation, client.pointee.phase != .free else { return }
            onClient(client, events)
        case .upstream:
            let upstream = upstreams[handle.index]
            guard upstream.pointee.generation == handle.generation, upstream.pointee.phase != .free else { return }
            onUpstream(upstream, events)
        case .listener: accept(listeners[Int(handle.index)])
        case .wake: takeOrders()
        }
    }

    private func takeOrders() {
        Shared.drain(port.wake)
        let orders = port.orders.withLock { orders in
            let taken = orders
            orders = LoopPort.Orders()
            return taken
        }
        if let table = orders.table { apply(table) }
        if let retireBy = orders.retireBy, self.retireBy == nil {
            self.retireBy = retireBy
            retiredAt = now
            stopAccepting()
        }
        if orders.stop { isStopping = true }
        if queueFirst != nil { servesQueue = true }
    }

    /// Routes by a new table from now on.
    private func apply(_ table: RoutingTable) {
        if queueFirst != nil { forgetWaiting() }
        self.table = table
        limits = table.snapshot.settings
        logsAccess = limits.accessLog != nil
        connectionLimit = connectionShare(limits.connections)
        if queueFirst != nil { waitAnew() }
        var upstream = idle.first
        while let current = upstream {
            upstream = current.pointee.nextIdle
            if current.pointee.run!.pointee.table.load(ordering: .acquiring) != table.serial { closeUpstream(current) }
        }
        counters.pointee.table.store(table.serial, ordering: .releasing)
        shared.wakeControl()
        if retireBy == nil, clients.count < connectionLimit { startAccepting() } else { stopAccepting() }
    }

    /// This loop's share of a limit for the whole process, and not more than the open files allow.
    private func connectionShare(_ limit: Int?) -> Int {
        // Without one, not more than a stranger may fill with halves of heads before memory is short.
        let limit = limit.flatMap { $0 > 0 ? $0 : nil } ?? Self.usualConnections
        let loops = shared.loopWakes.count
        return min(descriptorLimit, limit / loops + (index < limit % loops ? 1 : 0))
    }

    private func runDeferred() {
        // Two lists in turn: a copy of one would be memory for each turn.
        swap(&deferred, &resumed)
        defer { resumed.removeAll(keepingCapacity: true) }
        for handle in resumed {
            if handle.kind == .client {
                let client = clients[handle.index]
                guard client.pointee.generation == handle.generation, client.pointee.phase != .free else { continue }
                client.pointee.isDeferred = false
                process(client)
            } else {
                let upstream = upstreams[handle.index]
                guard upstream.pointee.generation == handle.generation, upstream.pointee.phase != .free else {
                    continue
                }
                upstream.pointee.isDeferred = false
                readUpstream(upstream)
            }
        }
    }

    /// What is done from time to time.
    private func sweep() {
        nextSweep = now &+ (paused.isEmpty && acceptAgainAt == 0 ? 1_000_000_000 : 50_000_000)
        while let upstream = idle.first, now &- upstream.pointee.idleSince > IdlePool.longest {
            closeUpstream(upstream)
        }
        pool.trim()
        if queueFirst != nil { servesQueue = true }
        let waiting = paused
        paused.removeAll(keepingCapacity: true)
        for handle in waiting {
            let client = clients[handle.index]
            guard client.pointee.generation == handle.generation, client.pointee.isPaused else { continue }
            client.pointee.isPaused = false
            process(client)
        }
        if acceptAgainAt != 0, now >= acceptAgainAt {
            acceptAgainAt = 0
            if clients.count < connectionLimit { startAccepting() }
        }
    }

    /// Gives back the places of what was closed in this turn.
    private func recycle() {
        if !closedUpstreams.isEmpty {
            for upstream in closedUpstreams { upstreams.give(upstream) }
            closedUpstreams.removeAll(keepingCapacity: true)
        }
        counters.pointee.connections.store(clients.count, ordering: .relaxed)
        guard !closedClients.isEmpty else { return }
        for client in closedClients { clients.give(client) }
        closedClients.removeAll(keepingCapacity: true)
        counters.pointee.connections.store(clients.count, ordering: .relaxed)
        if !isAccepting, acceptAgainAt == 0, retireBy == nil, table != nil, clients.count < connectionLimit {
            startAccepting()
        }
    }

    private func checkRetired(by deadline: UInt64) {
        let isIdle = counters.pointee.active.load(ordering: .relaxed) == 0
        // Kept connections have a moment to bring the request that is already on its way.
        if isIdle, clients.count == 0 || now &- retiredAt > patience.retireGrace { isStopping = true }
        if now >= deadline { isStopping = true }
    }

    private func closeAll() {
        stopAccepting()
        clients.each { if $0.pointee.phase != .free { closeClient($0) } }
        while let upstream = idle.first { closeUpstream(upstream) }
        recycle()
        if !accessLines.isEmpty { handOverLines() }
    }

    /// Gives back everything; the loop has ended.
    func destroy() {
        clients.destroy()
        upstreams.destroy()
        wheel.destroy()
        poller.destroy()
        chunk.deallocate()
        scratch.deallocate()
        headers.fields.deallocate()
    }
}
