import Fleet
import Health
import Testing

@testable import Supervisor

@Suite("The lifecycle of an instance that an earlier life of the daemon left running")
struct LifecycleAdoptionTests {
    private static let models = LifecycleScript.models

    private static func looking() -> LifecycleScript {
        var script = LifecycleScript(lastRun: 4)
        script.begin()
        _ = script.take()
        return script
    }

    @Test("a first start looks for nothing")
    func firstStart() {
        var script = LifecycleScript()
        script.begin()
        #expect(script.take() == [.record, .launch(1)])
    }

    @Test("what was given up stays so with its reason, until somebody asks for another start")
    func givenUp() throws {
        var before = LifecycleScript({ restart, _ in restart.startBudget = 1 }, lastRun: 3)
        before.load()
        before.feed(.nothingToAdopt(3))
        before.feed(.launched(4, pid: 100))
        before.feed(.exited(4, .code(1)))
        before.clean()
        #expect(before.state == .failed)
        let memory = before.machine.memory

        var script = LifecycleScript(lastRun: 4)
        script.machine.remember(memory)
        script.begin()
        _ = script.take()
        #expect(script.machine.memory.failed == memory.failed, "also for the life after one that ends here")
        script.feed(.nothingToAdopt(4))
        #expect(script.take() == [.record])
        #expect(script.state == .failed && script.machine.reason == before.machine.reason)
        #expect(script.machine.lastFailure == before.machine.lastFailure)
        script.feed(.command(.start, waiter: 1))
        #expect(script.take().contains(.launch(5)))
        #expect(script.machine.memory.failed == nil)

        // Of another run it says nothing about this one.
        var later = LifecycleScript(lastRun: 5)
        later.machine.remember(memory)
        later.begin()
        later.feed(.nothingToAdopt(5))
        #expect(later.take().contains(.launch(6)))
    }

    @Test("budgets and counts go on where they were")
    func budgets() {
        var before = LifecycleScript({ restart, _ in restart.budget = 1 })
        before.becomeReady()
        before.crash()
        before.pass(.seconds(5))
        #expect(before.machine.restarts == 1)
        var script = LifecycleScript({ restart, _ in restart.budget = 1 }, lastRun: before.run)
        script.machine.remember(before.machine.memory)
        script.begin()
        script.feed(.adopted(before.run, pid: 77, published: Self.models))
        #expect(script.machine.restarts == 1)
        script.crash()
        #expect(script.state == .failed, "the second crash within the window: \(script.machine.reason)")
    }

    @Test("what gateways route to is ready at once, in its old run")
    func published() {
        var script = Self.looking()
        script.feed(.adopted(4, pid: 77, published: Self.models))
        #expect(script.take() == [.record, .resumeHealth(4, Self.models)])
        #expect(script.state == .ready)
        #expect(script.run == 4)
        #expect(script.machine.isOffered)
        #expect(script.machine.pid == 77)
        #expect(script.machine.models == Self.models)
        script.feed(.confirmed(4))
        #expect(script.take() == [])
    }

    @Test("what nobody routes to is asked as after a launch, by the same deadline")
    func unpublished() {
        var script = Self.looking()
        script.feed(.adopted(4, pid: 77, published: nil))
        #expect(script.take() == [.record, .beginHealth(4)])
        #expect(script.state == .loading)
        #expect(!script.machine.isOffered)
        script.feed(.health(4, .warm(Self.models)))
        script.feed(.confirmed(4))
        #expect(script.state == .ready)
    }

    @Test("its end, of which nobody tells how, is a crash after ready")
    func exit() {
        var script = Self.looking()
        script.feed(.adopted(4, pid: 77, published: Self.models))
        _ = script.take()
        script.pass(.seconds(3))
        script.feed(.exited(4, .unknown))
        #expect(script.take() == [.record, .endHealth(4), .endTree(4, evidence: nil)])
        #expect(script.machine.lastFailure?.fault.detail == "exit code unknown (adopted) after 3 s as ready")
        script.clean()
        #expect(script.state == .backoff)
        script.pass(.seconds(2))
        #expect(script.take().contains(.launch(5)))
    }

    @Test("an end that is seen before the adoption is told counts")
    func earlyExit() {
        var script = Self.looking()
        script.feed(.exited(4, .unknown))
        #expect(script.take() == [])
        script.feed(.adopted(4, pid: 77, published: Self.models))
        #expect(script.take() == [.record, .endHealth(4), .endTree(4, evidence: nil)])
        #expect(!script.machine.isOffered)
    }

    @Test("a stop meanwhile ends what was found", arguments: [true, false])
    func stopMeanwhile(wasFound: Bool) {
        var script = Self.looking()
        script.feed(.shutdown(waiter: 1))
        #expect(script.take() == [.record, .cancelLaunch(4)])
        guard wasFound else {
            script.feed(.nothingToAdopt(4))
            #expect(script.take() == [.record, .answer(1, nil)])
            return
        }
        script.feed(.adopted(4, pid: 77, published: Self.models))
        #expect(script.take() == [.record, .endHealth(4), .terminate(4)])
        script.feed(.exited(4, .unknown))
        script.clean()
        #expect(script.state == .stopped)
        #expect(script.take().last == .answer(1, nil))
    }

    @Test("a drain meanwhile takes it out of routing")
    func drainMeanwhile() {
        var script = Self.looking()
        script.feed(.command(.drain, waiter: 1))
        script.feed(.adopted(4, pid: 77, published: Self.models))
        #expect(script.state == .draining)
        #expect(!script.machine.isOffered)
        #expect(!script.take().contains(.answer(1, nil)))
        script.feed(.drained(4))
        #expect(script.take().contains(.answer(1, nil)))
    }

    @Test("a stop drains what is in flight on it")
    func stop() {
        var script = Self.looking()
        script.feed(.adopted(4, pid: 77, published: Self.models))
        _ = script.take()
        script.feed(.command(.stop, waiter: 1))
        #expect(script.state == .draining)
        #expect(script.take() == [.record])
        script.feed(.drained(4))
        #expect(script.take() == [.record, .endHealth(4), .terminate(4)])
    }
}
