import Glibc
import Synchronization

/// Requests that wait for a place on an instance: a list in each loop in order of tickets, which are the process's,
/// and in each run's cell the oldest ticket of each loop. Who gives a place back wakes the loop of the oldest of all.
extension EventLoop {
    /// Lets a request wait, or refuses it where the queue is full.
    func wait(_ client: ClientPointer) {
        guard limits.queueLength > 0 else { return refuseFull(client) }
        guard shared.queued.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue <= limits.queueLength else {
            _ = shared.queued.wrappingSubtract(1, ordering: .relaxed)
            return refuseFull(client)
        }
        guard findWaiting(client) else {
            _ = shared.queued.wrappingSubtract(1, ordering: .relaxed)
            return refuse(client, .modelUnavailable)
        }
        client.pointee.phase = .queued
        client.pointee.ticket = shared.tickets.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
        client.pointee.queueNext = nil
        client.pointee.queuePrevious = queueLast
        queueLast?.pointee.queueNext = client
        queueLast = client
        if queueFirst == nil { queueFirst = client }
        wheel.set(client, deadline(limits.queueTimeoutMilliseconds))
        countWaiting(client, 1)
        if register(client) { servesQueue = true }
    }

    private func refuseFull(_ client: ClientPointer) {
        releasePassthrough(client)
        refuse(client, .queueFull)
    }

    /// Notes what a request waits for in the present table; false when that is not there.
    private func findWaiting(_ client: ClientPointer) -> Bool {
        client.pointee.queuedTarget = -1
        client.pointee.queuedRun = -1
        guard client.pointee.exchange.kind != .passthrough else {
            guard let run = passthroughRuns(client).first else { return false }
            client.pointee.providerNumber = table.providerNumbers[Int(table.runs[run].provider)]
            return true
        }
        guard case .found(let index) = target(client) else { return false }
        client.pointee.queuedTarget = Int32(index)
        if client.pointee.route == .responses, let run = wantedRun(client, target: index) {
            client.pointee.queuedRun = Int32(run)
        }
        let first = Int(table.candidates[Int(table.targets[index].firstCandidate)])
        client.pointee.providerNumber = table.providerNumbers[Int(table.runs[first].provider)]
        return true
    }

    /// The runs that will do for a request that waits.
    private func eachWanted(_ client: ClientPointer, _ body: (Int) -> Void) {
        if client.pointee.queuedRun >= 0 { return body(Int(client.pointee.queuedRun)) }
        guard client.pointee.queuedTarget >= 0 else { return passthroughRuns(client).forEach(body) }
        let target = table.targets[Int(client.pointee.queuedTarget)]
        for position in 0..<Int(target.candidateCount) {
            let run = Int(table.candidates[Int(target.firstCandidate) + position])
            if table.runs[run].cell != client.pointee.triedRun { body(run) }
        }
    }

    private func wants(_ client: ClientPointer, _ run: Int) -> Bool {
        var found = false
        eachWanted(client) { if $0 == run { found = true } }
        return found
    }

    /// Enters a request at the runs that it waits for; whether one of them has a place.
    private func register(_ client: ClientPointer) -> Bool {
        var hasRoom = false
        eachWanted(client) { run in
            let cell = table.runs[run].cell
            let line = cell.pointee.lines + index
            if client.pointee.ticket < line.pointee.oldestWaiting.load(ordering: .relaxed) {
                line.pointee.oldestWaiting.store(client.pointee.ticket, ordering: .sequentiallyConsistent)
            }
            if self.hasRoom(cell) { hasRoom = true }
        }
        return hasRoom
    }

    private func hasRoom(_ cell: RunPointer) -> Bool {
        let limit = limits.streamsPerInstance
        return limit <= 0 || cell.pointee.inflight.load(ordering: .sequentiallyConsistent) < limit
    }

    /// Whether requests of any loop wait for a run.
    @inline(__always) func isWaitedFor(_ cell: RunPointer) -> Bool {
        shared.queued.load(ordering: .relaxed) > 0 && oldestLoop(cell) >= 0
    }

    /// The loop whose request has waited longest for a run, or -1.
    private func oldestLoop(_ cell: RunPointer) -> Int {
        var oldest = UInt64.max
        var found = -1
        for loop in 0..<cell.pointee.loops {
            let ticket = cell.pointee.lines[loop].oldestWaiting.load(ordering: .sequentiallyConsistent)
            if ticket < oldest {
                oldest = ticket
                found = loop
            }
        }
        return found
    }

    /// A place on a run is free: tells the loop that has waited longest for it.
    func offer(_ cell: RunPointer) {
        let loop = oldestLoop(cell)
        if loop == index {
            servesQueue = true
        } else if loop >= 0 {
            Shared.signal(shared.loopWakes[loop])
        }
    }

    /// Takes a request out of the queue and its tickets off the runs.
    func leaveQueue(_ client: ClientPointer) {
        countWaiting(client, -1)
        let next = client.pointee.queueNext
        if let next {
            next.pointee.queuePrevious = client.pointee.queuePrevious
        } else {
            queueLast = client.pointee.queuePrevious
        }
        if let previous = client.pointee.queuePrevious {
            previous.pointee.queueNext = next
        } else {
            queueFirst = next
        }
        client.pointee.queueNext = nil
        client.pointee.queuePrevious = nil
        _ = shared.queued.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        eachWanted(client) { run in
            let cell = table.runs[run].cell
            let line = cell.pointee.lines + index
            guard line.pointee.oldestWaiting.load(ordering: .relaxed) == client.pointee.ticket else { return }
            var waiter = next
            while let other = waiter, !wants(other, run) { waiter = other.pointee.queueNext }
            line.pointee.oldestWaiting.store(waiter?.pointee.ticket ?? .max, ordering: .sequentiallyConsistent)
            // Others may have been passed over for this one's sake.
            if shared.queued.load(ordering: .relaxed) > 0, hasRoom(cell) { offer(cell) }
        }
    }

    /// Gives free places to those who have waited longest.
    func serveQueue() {
        servesQueue = false
        var waiter = queueFirst
        // Runs that were found without a place for anybody here: a table of some hundred at most, a bit each.
        var exhausted = RunSet()
        while let client = waiter {
            waiter = client.pointee.queueNext
            var isHopeless = true
            eachWanted(client) { run in
                if exhausted.contains(run) { return }
                let cell = table.runs[run].cell
                let oldest = oldestLoop(cell)
                if hasRoom(cell), oldest == index || oldest < 0 {
                    isHopeless = false
                } else {
                    if oldest != index, oldest >= 0, hasRoom(cell) { Shared.signal(shared.loopWakes[oldest]) }
                    exhausted.insert(run)
                }
            }
            if isHopeless { continue }
            serve(client)
        }
    }

    /// Sends a request that waited, if a place is to be had.
    private func serve(_ client: ClientPointer) {
        let choice: Chooser.Choice
        if client.pointee.exchange.kind != .passthrough {
            guard client.pointee.queuedTarget >= 0 else { return }
            choice = choose(client, target: Int(client.pointee.queuedTarget))
        } else {
            choice = choosePassthrough(client)
        }
        guard let place = take(client, choice) else { return }
        leaveQueue(client)
        // The body's places are the scanner's again: another request may have been looked at since.
        if client.pointee.exchange.kind != .passthrough { _ = target(client) }
        occupy(client, place)
        connect(client, place.run, fresh: false)
    }

    /// Before another table: takes every ticket off the present one's runs.
    func forgetWaiting() {
        for run in 0..<table.runCount {
            table.runs[run].cell.pointee.lines[index].oldestWaiting.store(.max, ordering: .sequentiallyConsistent)
        }
    }

    /// Under another table: finds out anew what each request waits for; who waits for what is gone is told.
    func waitAnew() {
        var waiter = queueFirst
        var lost: [Handle] = []
        while let client = waiter {
            waiter = client.pointee.queueNext
            countWaiting(client, -1)
            // Its cell may be gone, and the place of it another one's.
            let tried = client.pointee.triedRun
            if tried != nil, !(0..<table.runCount).contains(where: { table.runs[$0].cell == tried }) {
                client.pointee.triedRun = nil
            }
            let isFound = findWaiting(client)
            countWaiting(client, 1)
            if isFound { _ = register(client) } else { lost.append(client.pointee.handle) }
        }
        servesQueue = true
        for handle in lost {
            let client = clients[handle.index]
            guard client.pointee.generation == handle.generation, client.pointee.phase == .queued else { continue }
            leaveQueue(client)
            client.pointee.phase = .body
            if client.pointee.exchange.kind != .passthrough { select(client) } else { selectPassthrough(client) }
        }
    }
}
