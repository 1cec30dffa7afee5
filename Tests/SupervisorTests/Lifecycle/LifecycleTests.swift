import Fleet
import Health
import Testing

@testable import Supervisor

@Suite("The lifecycle of a launched instance")
struct LifecycleTests {
    @Test("from stopped to ready, in the contract's words")
    func start() {
        var script = LifecycleScript(lastRun: 4)
        script.begin()
        #expect(script.take() == [.record, .adopt(4)])
        #expect(script.state == .starting)
        script.feed(.nothingToAdopt(4))
        #expect(script.take() == [.record, .launch(5)])
        #expect(script.state == .starting)
        script.feed(.launched(5, pid: 100))
        #expect(script.take() == [.record, .beginHealth(5)])
        #expect(script.state == .loading)
        script.feed(.health(5, .listening(LifecycleScript.models)))
        #expect(script.state == .warming)
        #expect(!script.machine.isOffered)
        _ = script.take()
        script.feed(.health(5, .warm(LifecycleScript.models)))
        #expect(script.take() == [.record])
        #expect(script.state == .warming)
        #expect(script.machine.isOffered)
        script.feed(.confirmed(5))
        #expect(script.state == .ready)
    }

    @Test("an exit that nobody asked for is a failure whatever the code, and unpublishes before anything else")
    func exit() {
        var script = LifecycleScript()
        script.becomeReady()
        _ = script.take()
        script.feed(.exited(1, .code(0)))
        #expect(script.take() == [.record, .endHealth(1), .endTree(1, evidence: nil)])
        #expect(!script.machine.isOffered)
        #expect(script.state == .stopping)
        script.clean(Postmortem(cause: "engine died", lines: ["boom"], hint: "look"))
        #expect(script.state == .backoff)
        #expect(script.machine.lastFailure?.postmortem.lines == ["boom"])
        #expect(script.machine.restarts == 1)
        _ = script.take()
        script.pass(.seconds(2))
        #expect(script.state == .starting)
        #expect(script.take() == [.record, .launch(2)])
    }

    @Test("the death of an engine process unpublishes at once and gives the server two seconds to say why")
    func engineDeath() {
        var script = LifecycleScript()
        script.becomeReady()
        _ = script.take()
        script.feed(.engineDied(1, "VLLM::EngineCore (pid 5)"))
        #expect(script.take() == [.record, .endHealth(1), .terminate(1)])
        #expect(!script.machine.isOffered)
        script.pass(.seconds(2))
        #expect(script.take().contains(.endTree(1, evidence: nil)))
        script.clean()
        #expect(script.state == .backoff)
        #expect(script.machine.lastFailure?.fault.kind == "engine")
    }

    @Test("stop: unpublish, drain, SIGTERM, and after its deadline the whole tree")
    func stop() {
        var script = LifecycleScript { _, timeouts in
            timeouts.drain = .seconds(60)
            timeouts.stop = .seconds(30)
        }
        script.becomeReady()
        _ = script.take()
        script.feed(.command(.stop, waiter: 9))
        #expect(script.state == .draining)
        #expect(script.take() == [.record])
        script.feed(.drained(1))
        #expect(script.state == .stopping)
        #expect(script.take() == [.record, .endHealth(1), .terminate(1)])
        script.pass(.seconds(29))
        #expect(script.take() == [])
        script.pass(.seconds(1))
        #expect(script.take().contains(.endTree(1, evidence: nil)))
        script.clean()
        #expect(script.state == .stopped)
        #expect(script.take() == [.record, .answer(9, nil)])
        #expect(script.machine.lastFailure == nil)
    }

    @Test("a drain ends at its deadline, and a second SIGTERM ends it at once")
    func drainBounds() {
        var script = LifecycleScript { _, timeouts in timeouts.drain = .seconds(60) }
        script.becomeReady()
        script.feed(.shutdown(waiter: 1))
        script.pass(.seconds(59))
        #expect(script.state == .draining)
        script.pass(.seconds(1))
        #expect(script.state == .stopping)

        var hurried = LifecycleScript()
        hurried.becomeReady()
        hurried.feed(.shutdown(waiter: 1))
        hurried.feed(.hurry)
        #expect(hurried.state == .stopping)
    }

    @Test("a stop while it is being launched waits for the launch's answer")
    func stopWhileLaunching() {
        var script = LifecycleScript()
        script.begin()
        _ = script.take()
        script.feed(.command(.stop, waiter: 3))
        #expect(script.take() == [.record, .cancelLaunch(1)])
        var other = script
        script.feed(.launchFailed(1, .cancelled))
        #expect(script.state == .stopped)
        #expect(script.take().contains(.answer(3, nil)))
        // It was too late: the process lives, and is ended.
        other.feed(.launched(1, pid: 4))
        #expect(other.take().contains(.terminate(1)))
        other.feed(.exited(1, .signal(15)))
        other.clean()
        #expect(other.state == .stopped)
    }

    @Test("an exit that is seen before the launch's answer is not lost")
    func earlyExit() {
        var script = LifecycleScript()
        script.begin()
        script.feed(.exited(1, .code(2)))
        #expect(script.state == .starting)
        script.feed(.launched(1, pid: 5))
        #expect(script.take().contains(.endTree(1, evidence: nil)))
        script.clean()
        #expect(script.state == .backoff)
    }

    @Test("more crashes after ready than the budget within its window is failed; a start begins with full budgets")
    func budget() {
        var script = LifecycleScript { restart, _ in
            restart.budget = 2
            restart.budgetWindow = .seconds(600)
        }
        script.becomeReady()
        for _ in 0..<2 {
            script.crash()
            #expect(script.state == .backoff)
            script.pass(.seconds(5))
            script.becomeReady()
        }
        script.crash()
        #expect(script.state == .failed)
        #expect(script.machine.isSettled)
        #expect(script.machine.nextWake == nil)
        script.feed(.command(.start, waiter: 1))
        #expect(script.state == .starting)
        script.becomeReady()
        script.crash()
        #expect(script.state == .backoff)
    }

    @Test("crashes outside the window are forgotten")
    func window() {
        var script = LifecycleScript { restart, _ in restart.budget = 1 }
        script.becomeReady()
        for _ in 0..<5 {
            script.pass(.seconds(700))
            script.crash()
            #expect(script.state == .backoff)
            script.pass(.seconds(5))
            script.becomeReady()
        }
    }

    @Test("start_budget starts in a row that never got ready is failed")
    func startBudget() {
        var script = LifecycleScript { restart, _ in restart.startBudget = 3 }
        script.begin()
        for number in 1...3 {
            script.feed(.launched(script.run, pid: 5))
            script.feed(.exited(script.run, .code(1)))
            script.clean()
            if number < 3 {
                #expect(script.state == .backoff)
                script.pass(.seconds(20))
            }
        }
        #expect(script.state == .failed)
    }

    @Test("what can only fail again fails at once, but only if it never worked")
    func permanent() {
        var script = LifecycleScript()
        script.load()
        script.feed(.exited(1, .code(2)))
        script.clean(Postmortem(cause: "unrecognized arguments: --bogus", isPermanent: true))
        #expect(script.state == .failed)

        var worked = LifecycleScript()
        worked.becomeReady()
        worked.feed(.exited(1, .code(2)))
        worked.clean(Postmortem(isPermanent: true))
        #expect(worked.state == .backoff)
    }

    @Test("waiting for GPU memory spends no budget")
    func waiting() {
        var script = LifecycleScript { restart, _ in restart.startBudget = 1 }
        script.begin()
        for _ in 0..<20 {
            script.feed(.waiting(script.run, "waits for memory of GPU 0"))
            script.feed(.launchFailed(script.run, .waiting("GPU 0 is held by pid 7")))
            #expect(script.state == .backoff)
            script.pass(.seconds(3))
            #expect(script.state == .starting)
        }
    }

    @Test("a start that never ends is ended, one that stalls too; neither is honest progress")
    func startDeadlines() {
        var script = LifecycleScript { _, timeouts in timeouts.startMax = .seconds(7200) }
        script.load()
        script.pass(.seconds(7199))
        #expect(script.state == .loading)
        _ = script.take()
        script.pass(.seconds(1))
        #expect(script.state == .stopping)
        #expect(script.machine.lastFailure?.fault.kind == "start_timeout")

        var stalled = LifecycleScript()
        stalled.load()
        stalled.feed(.stalled(1, "nothing new since 600 s"))
        #expect(stalled.state == .stopping)
        #expect(stalled.machine.lastFailure?.fault.kind == "start_stalled")
    }

    @Test("SIGKILL that does not end it is quarantine, and nothing is started beside it")
    func quarantine() {
        var script = LifecycleScript()
        script.becomeReady()
        script.feed(.exited(1, .code(1)))
        _ = script.take()
        script.pass(Lifecycle.killPatience)
        #expect(script.state == .quarantined)
        script.feed(.command(.start, waiter: 1))
        #expect(script.take().last == .answer(1, .failed("chat-0 is quarantined: \(script.machine.reason)")))
        #expect(script.machine.isSettled)
        script.clean()
        #expect(script.state == .backoff)
    }

    @Test("unhealthy unpublishes, healthy publishes again; condemned kills with its evidence")
    func health() {
        var script = LifecycleScript()
        script.becomeReady()
        script.feed(.health(1, .unhealthy("/health says 503")))
        #expect(script.state == .unhealthy)
        #expect(!script.machine.isOffered)
        script.feed(.health(1, .healthy(LifecycleScript.models)))
        #expect(script.machine.isOffered)
        #expect(script.state == .unhealthy)
        script.feed(.confirmed(1))
        #expect(script.state == .ready)
        _ = script.take()
        script.feed(.health(1, .condemned("no token for 60 s")))
        #expect(script.take().contains(.endTree(1, evidence: "no token for 60 s")))
        #expect(script.machine.lastFailure?.fault.kind == "hang")
    }

    @Test("drain and undrain; a drained one stays drained over a crash")
    func drain() {
        var script = LifecycleScript()
        script.becomeReady()
        _ = script.take()
        script.feed(.command(.drain, waiter: 1))
        #expect(script.state == .draining)
        #expect(!script.machine.isOffered)
        script.pass(.seconds(7200))
        #expect(script.take() == [.record])
        script.feed(.drained(1))
        #expect(script.take() == [.record, .answer(1, nil)])
        #expect(script.state == .draining)
        script.crash()
        script.pass(.seconds(5))
        script.feed(.launched(2, pid: 5))
        script.feed(.health(2, .listening(LifecycleScript.models)))
        script.feed(.health(2, .warm(LifecycleScript.models)))
        #expect(script.state == .draining)
        #expect(!script.machine.isOffered)
        _ = script.take()
        script.feed(.command(.undrain, waiter: 2))
        #expect(script.machine.isOffered)
        script.feed(.confirmed(2))
        #expect(script.state == .ready)
        #expect(script.take().last == .answer(2, nil))
    }

    @Test("restart is the next run, with a drain before it")
    func restart() {
        var script = LifecycleScript()
        script.becomeReady()
        script.feed(.command(.restart, waiter: 1))
        #expect(script.state == .draining)
        script.feed(.drained(1))
        script.feed(.exited(1, .signal(15)))
        _ = script.take()
        script.clean()
        #expect(script.state == .starting)
        #expect(script.take() == [.record, .launch(2)])
        script.becomeReady()
        #expect(script.take().last == .answer(1, nil))
        #expect(script.machine.restarts == 0)
    }

    @Test("after a shutdown nothing starts again and commands are refused")
    func shutdown() {
        var script = LifecycleScript()
        script.becomeReady()
        script.crash()
        script.feed(.shutdown(waiter: 1))
        #expect(script.state == .stopped)
        #expect(script.said.contains(.answer(1, nil)))
        _ = script.take()
        script.feed(.command(.start, waiter: 2))
        guard case .answer(2, .refused)? = script.take().last else {
            Issue.record("a start after the end was not refused")
            return
        }
        script.feed(.shutdown(waiter: 3))
        #expect(script.take() == [.answer(3, nil)])
    }

    @Test("events of another run change nothing")
    func staleRuns() {
        var script = LifecycleScript(lastRun: 8)
        script.becomeReady()
        _ = script.take()
        for event: Lifecycle.Event in [
            .exited(8, .code(1)), .health(8, .condemned("old")), .drained(8), .cleaned(8, Postmortem()),
            .launchFailed(8, .cancelled), .engineDied(8, "old"), .stalled(8, "old"),
        ] {
            script.feed(event)
        }
        #expect(script.take() == [])
        #expect(script.state == .ready)
    }
}
