import Fleet
import Health
import Testing

@testable import Supervisor

/// Two owners' machines, the registry's reduction and a replacement, fed with whatever could happen in any order.
@Suite("A replacement in generated orders")
struct ReplacementWorldTests {
    private struct World {
        static let name = "chat-0"
        static let models = [ModelCard(id: "org/m")]

        /// One owner's side of it.
        struct Side {
            var machine: Lifecycle
            var launching: UInt64?
            var tree: UInt64?
            var ending: UInt64?
            var hasHealth = false
            var isForgotten = false

            init(lastRun: UInt64, at now: Instant) {
                machine = Lifecycle(
                    instance: World.name, restart: RestartConfiguration(), timeouts: LaunchTimeouts(),
                    lastRun: lastRun, seed: 3, at: now)
            }
        }

        let order: Replacement.Order
        var random: SeededGenerator
        var now = Instant(nanoseconds: 1_000_000_000_000)
        var sides: [Side] = []
        var registry: RegistryReduction
        var replacement: Replacement
        var outcome: Replacement.Outcome?
        var seen: Set<UInt64> = []
        var retiring = false
        var endingNew = false

        init(_ order: Replacement.Order, seed: UInt64) {
            self.order = order
            random = SeededGenerator(seed: seed)
            registry = RegistryReductionTests.connected()
            replacement = Replacement(order)
            sides = [Side(lastRun: 0, at: now)]
            feed(0, .beginAnew)
            sides[0].launching = nil
            sides[0].tree = 1
            feed(0, .launched(1, pid: 7))
            feed(0, .health(1, .warm(Self.models)))
            gatewayTurns()
            #expect(sides[0].machine.state == .ready)
        }

        // MARK: Effects

        mutating func feed(_ side: Int, _ event: Lifecycle.Event) {
            for action in sides[side].machine.handle(event, at: now) {
                switch action {
                case .launch(let run):
                    #expect(seen.insert(run).inserted, "run \(run) was used before")
                    #expect(sides[side].tree == nil && sides[side].ending == nil && sides[side].launching == nil)
                    sides[side].launching = run
                case .endTree(let run, _):
                    #expect(sides[side].tree == run)
                    sides[side].ending = run
                case .beginHealth, .resumeHealth: sides[side].hasHealth = true
                case .endHealth: sides[side].hasHealth = false
                case .record: record(side)
                case .answer(let waiter, _):
                    if waiter == 100 {
                        sides[0].isForgotten = true
                        perform(registry.forget(instance: Self.name, generation: 0))
                        replaced(.oldGone)
                    } else if waiter == 101 {
                        sides[1].isForgotten = true
                        perform(registry.forget(instance: Self.name, generation: 1))
                        let last = sides[1].machine.run
                        feed(0, .reinstated(lastRun: last))
                        replaced(.newGone)
                    }
                case .adopt, .cancelLaunch, .terminate: break
                }
            }
            check()
        }

        mutating func record(_ side: Int) {
            guard !sides[side].isForgotten else { return }
            let machine = sides[side].machine
            var status = InstanceStatus(
                id: Self.name, run: machine.run, state: machine.state, since: "", reason: machine.reason)
            status.published = machine.state == .ready
            var entries: [InstanceEntry] = []
            if machine.isAlive {
                entries = [
                    InstanceEntry(
                        run: InstanceRun(instance: Self.name, run: machine.run),
                        endpoint: RegistryReductionTests.endpoint, state: machine.state,
                        published: machine.isOffered, models: machine.models)
                ]
            }
            let record = InstanceRecord(
                provider: "chat", kind: .launched, status: status, entries: entries, settled: machine.isSettled)
            perform(registry.record(record, generation: side))
            if side == 0, sides.count > 1 || order == .newFirst {
                switch machine.state {
                case .stopping, .backoff, .failed, .stopped, .quarantined, .starting: replaced(.oldLost)
                default: break
                }
            } else if side == 1 {
                switch machine.state {
                case .ready: replaced(.ready)
                case .failed, .misconfigured, .quarantined: replaced(.settled(machine.reason))
                default: if machine.works, machine.ending == nil { replaced(.works) }
                }
            }
        }

        mutating func perform(_ actions: [RegistryReduction.Action]) {
            for case .tell(_, let event) in actions {
                for side in sides.indices where !sides[side].isForgotten {
                    switch event {
                    case .confirmed(let run): later.append((side, .confirmed(run.run)))
                    case .drained(let run): later.append((side, .drained(run.run)))
                    case .activity, .suspected: break
                    }
                }
            }
        }

        var later: [(Int, Lifecycle.Event)] = []

        /// Every gateway takes the newest snapshot and has nothing in flight.
        mutating func gatewayTurns() {
            let version = registry.snapshot.version
            perform(registry.applied(version, by: 7))
            perform(registry.reported(GatewayReport(applied: version), by: 7))
            deliver()
        }

        mutating func deliver() {
            while !later.isEmpty {
                let (side, event) = later.removeFirst()
                feed(side, event)
            }
        }

        mutating func replaced(_ event: Replacement.Event) {
            guard hasBegun else { return }
            for action in replacement.handle(event) {
                switch action {
                case .start(let held):
                    if !sides[0].isForgotten { feed(0, .superseded) }
                    sides.append(Side(lastRun: sides[0].machine.run, at: now))
                    if held { feed(1, .standby) }
                    feed(1, .beginAnew)
                case .offer: feed(1, .turn)
                case .retireOld:
                    #expect(!retiring)
                    retiring = true
                    feed(0, .shutdown(waiter: 100))
                case .endNew:
                    #expect(!endingNew)
                    endingNew = true
                    feed(1, .shutdown(waiter: 101))
                case .finish(let outcome):
                    #expect(self.outcome == nil)
                    self.outcome = outcome
                }
            }
        }

        var hasBegun = false

        mutating func begin() {
            hasBegun = true
            replaced(.begin)
        }

        // MARK: What must hold

        func check() {
            let published = registry.snapshot.providers.flatMap(\.instances).filter(\.published)
            #expect(published.count <= 1, "two published runs of one instance")
            if order == .oldFirst { #expect(sides.filter { $0.tree != nil }.count <= 1) }
            #expect(sides.allSatisfy { $0.tree == nil || $0.launching == nil })
        }

        // MARK: What may happen

        mutating func step() {
            let side = Int.random(in: 0..<sides.count, using: &random)
            let run = sides[side].machine.run
            let isUp = sides[side].tree == run && sides[side].ending == nil
            switch Int.random(in: 0..<16, using: &random) {
            case 0...2:
                guard let launched = sides[side].launching else { break }
                sides[side].launching = nil
                guard isRoom(side) else {
                    feed(side, .launchFailed(launched, .waiting("processes of an earlier run do not end")))
                    break
                }
                if Int.random(in: 0..<5, using: &random) == 0 {
                    feed(side, .launchFailed(launched, .transient(Fault(kind: "launch", detail: "no"))))
                } else {
                    sides[side].tree = launched
                    feed(side, .launched(launched, pid: 7))
                }
            case 3, 4:
                guard let ended = sides[side].ending else { break }
                sides[side].ending = nil
                sides[side].tree = nil
                feed(side, .cleaned(ended, Postmortem()))
            case 5: if isUp, Bool.random(using: &random) { feed(side, .exited(run, .code(1))) }
            case 6...8: if isUp, sides[side].hasHealth { feed(side, .health(run, .warm(Self.models))) }
            case 9: if isUp, sides[side].hasHealth { feed(side, .health(run, .unhealthy("503"))) }
            case 10: if Int.random(in: 0..<20, using: &random) == 0 { replaced(.cancel("why")) }
            case 11, 12: gatewayTurns()
            default: pass(.seconds(Int.random(in: 0...20, using: &random)))
            }
            deliver()
        }

        /// Whether the spawner would start this one's tree: where both have one slot, the earlier one's is gone first.
        func isRoom(_ side: Int) -> Bool { order == .newFirst || sides[1 - side].tree == nil }

        mutating func pass(_ duration: Duration) {
            let end = now + duration
            while let wake = sides.compactMap({ $0.machine.nextWake }).min(), wake <= end {
                now = max(now, wake)
                for side in sides.indices { feed(side, .tick) }
            }
            now = end
        }

        /// Lets everything go well from now on.
        mutating func settle() {
            for _ in 0..<60 {
                for side in sides.indices {
                    if let launched = sides[side].launching, isRoom(side) {
                        sides[side].launching = nil
                        sides[side].tree = launched
                        feed(side, .launched(launched, pid: 7))
                    }
                    if let ended = sides[side].ending {
                        sides[side].ending = nil
                        sides[side].tree = nil
                        feed(side, .cleaned(ended, Postmortem()))
                    }
                    let run = sides[side].machine.run
                    if sides[side].tree == run, sides[side].hasHealth { feed(side, .health(run, .warm(Self.models))) }
                }
                gatewayTurns()
                pass(.seconds(10))
                deliver()
            }
        }
    }

    @Test(
        "never two published runs, never two trees where there is room for one, over in the end",
        arguments: [Replacement.Order.newFirst, .oldFirst], 0..<10)
    func anyOrder(order: Replacement.Order, block: UInt64) {
        for seed in (block * 30)..<(block * 30 + 30) {
            var world = World(order, seed: seed)
            world.begin()
            for _ in 0..<150 where world.outcome == nil { world.step() }
            world.settle()
            #expect(world.outcome != nil, "seed \(seed) is not over")
            let serving = world.registry.snapshot.providers.flatMap(\.instances).filter(\.published)
            switch world.outcome {
            case .replaced:
                #expect(world.sides[0].isForgotten && world.sides[0].tree == nil)
                #expect(serving.map(\.run.run) == [world.sides[1].machine.run], "seed \(seed)")
            case .failed(_, oldServes: true), .cancelled(_, oldServes: true):
                #expect(world.sides[1].isForgotten && world.sides[1].tree == nil)
                #expect(serving.map(\.run.run) == [world.sides[0].machine.run], "seed \(seed)")
            default: #expect(world.sides[0].tree == nil, "seed \(seed)")
            }
        }
    }
}
