import Fleet
import Health
import Testing

@testable import Supervisor

/// Thousands of orders of events, generated from seeds: whatever the order, the invariants hold.
@Suite("The lifecycle under any order of events")
struct LifecycleRandomTests {
    /// A world that answers what the machine asks for, in its own time.
    private struct World {
        var script: LifecycleScript
        var random: SeededGenerator
        var treeOf: UInt64?
        var launching: UInt64?
        var adopting: UInt64?
        var ending: UInt64?
        var healthOf: UInt64?
        var waiting: Set<UInt64> = []
        var nextWaiter: UInt64 = 1

        init(seed: UInt64) {
            script = LifecycleScript(
                { restart, timeouts in
                    restart.startBudget = 3
                    restart.budget = 3
                    timeouts.startMax = .seconds(600)
                }, lastRun: seed % 3)
            random = SeededGenerator(seed: seed)
        }

        mutating func perform() {
            for action in script.take() {
                switch action {
                case .launch(let run):
                    #expect(
                        treeOf == nil && launching == nil && adopting == nil && ending == nil,
                        "two trees of one instance")
                    launching = run
                case .adopt(let run):
                    #expect(treeOf == nil && launching == nil && adopting == nil && ending == nil)
                    adopting = run
                case .endTree(let run, _):
                    #expect(treeOf == run)
                    ending = run
                case .terminate(let run): #expect(treeOf == run, "a signal to something that is not there")
                case .beginHealth(let run), .resumeHealth(let run, _): healthOf = run
                case .endHealth: healthOf = nil
                case .answer(let waiter, _):
                    #expect(waiting.remove(waiter) != nil, "a waiter answered twice, or never asked")
                case .record, .cancelLaunch: break
                }
            }
            check()
        }

        func check() {
            let machine = script.machine
            if machine.isOffered {
                #expect(machine.works && machine.ending == nil && treeOf == machine.run, "published, but not ready")
                #expect([.warming, .ready, .unhealthy, .misconfigured, .draining].contains(machine.state))
            }
            if machine.state == .ready { #expect(machine.isOffered, "ready, but not published") }
            if machine.state == .stopped || machine.state == .failed || machine.state == .backoff {
                #expect(treeOf == nil || ending == nil && treeOf == nil, "\(machine.state) with a tree")
            }
        }

        mutating func feed(_ event: Lifecycle.Event) {
            script.feed(event)
            perform()
        }

        /// One thing that could happen now, or some time that passes.
        mutating func step() {
            let run = script.run
            let models = LifecycleScript.models
            switch Int.random(in: 0..<27, using: &random) {
            case 0...2:
                guard let launched = launching else { break }
                launching = nil
                switch Int.random(in: 0..<6, using: &random) {
                case 0: feed(.launchFailed(launched, .transient(Fault(kind: "launch", detail: "no"))))
                case 1: feed(.launchFailed(launched, .waiting("memory")))
                case 2: feed(.launchFailed(launched, .permanent(Fault(kind: "launch", detail: "never"), hint: nil)))
                case 3: feed(.launchFailed(launched, .cancelled))
                default:
                    treeOf = launched
                    feed(.launched(launched, pid: 7))
                }
            case 3, 4:
                if let run = adopting {
                    adopting = nil
                    guard Bool.random(using: &random) else { return feed(.nothingToAdopt(run)) }
                    treeOf = run
                    feed(.adopted(run, pid: 7, published: Bool.random(using: &random) ? models : nil))
                }
                guard let ended = ending else { break }
                ending = nil
                treeOf = nil
                feed(.cleaned(ended, Postmortem(isPermanent: Bool.random(using: &random))))
            case 5: if treeOf == run || launching == run || adopting == run { feed(.exited(run, .code(0))) }
            case 6: if treeOf == run { feed(.engineDied(run, "VLLM::EngineCore")) }
            case 7, 8: if healthOf == run { feed(.health(run, .listening(models))) }
            case 9, 10: if healthOf == run { feed(.health(run, .warm(models))) }
            case 11: if healthOf == run { feed(.health(run, .healthy(models))) }
            case 12: if healthOf == run { feed(.health(run, .unhealthy("503"))) }
            case 13: if healthOf == run { feed(.health(run, .misconfigured("401"))) }
            case 14: if healthOf == run { feed(.health(run, .condemned("hang"))) }
            case 15, 16: if script.machine.isOffered { feed(.confirmed(run)) }
            case 17, 18: if !script.machine.isOffered { feed(.drained(run)) }
            case 19: feed(.stalled(run, "nothing new"))
            case 20:
                let command = OperatorCommand.allCases.randomElement(using: &random)!
                waiting.insert(nextWaiter)
                feed(.command(command, waiter: nextWaiter))
                nextWaiter += 1
            case 21: feed(.confirmed(run &- 1))
            case 22:
                switch Int.random(in: 0..<4, using: &random) {
                case 0: feed(.rules(RestartConfiguration(), LaunchTimeouts()))
                case 1: feed(.superseded)
                case 2: feed(.reinstated(lastRun: run + UInt64.random(in: 0...3, using: &random)))
                default: feed(.turn)
                }
            default:
                let seconds = Int.random(in: 0...30, using: &random)
                let end = script.now + .seconds(seconds)
                while let wake = script.machine.nextWake, wake <= end {
                    script.now = max(script.now, wake)
                    feed(.tick)
                }
                script.now = end
            }
        }

        /// Lets everything that is under way end.
        mutating func settle() {
            for _ in 0..<40 {
                if let launched = launching {
                    launching = nil
                    feed(.launchFailed(launched, .cancelled))
                }
                if let run = adopting {
                    adopting = nil
                    feed(.nothingToAdopt(run))
                }
                if let ended = ending {
                    ending = nil
                    treeOf = nil
                    feed(.cleaned(ended, Postmortem()))
                }
                if let wake = script.machine.nextWake {
                    script.now = max(script.now, wake)
                    feed(.tick)
                }
            }
        }
    }

    @Test("never two trees, never published unless it works, every waiter woken, settled in the end", arguments: 0..<40)
    func anyOrder(block: UInt64) {
        for seed in (block * 50)..<(block * 50 + 50) {
            var world = World(seed: seed)
            world.feed(.begin(wanted: Bool.random(using: &world.random)))
            for _ in 0..<200 { world.step() }
            world.waiting.insert(.max)
            world.feed(.shutdown(waiter: .max))
            world.settle()
            #expect(world.script.state == .stopped, "seed \(seed) ends \(world.script.state)")
            #expect(world.waiting.isEmpty, "seed \(seed): nobody woke \(world.waiting)")
            #expect(world.treeOf == nil && world.launching == nil)
            #expect(world.script.machine.nextWake == nil)
        }
    }
}
