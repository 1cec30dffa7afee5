import Fleet
import Health
import Testing

@testable import Supervisor

@Suite("The lifecycle of an attached instance")
struct AttachedLifecycleTests {
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var machine = AttachedLifecycle(instance: "vllm-test", at: Instant(nanoseconds: 1_000_000_000_000))
    private let models = [ModelCard(id: "org/m")]

    private mutating func feed(_ event: AttachedLifecycle.Event) -> [AttachedLifecycle.Action] {
        machine.handle(event, at: now)
    }

    private mutating func becomeReady() {
        _ = feed(.begin)
        _ = feed(.addressed)
        _ = feed(.health(1, .listening(models)))
        _ = feed(.health(1, .warm(models)))
        _ = feed(.confirmed(1))
    }

    @Test("connecting, ready, connecting again, misconfigured, and healed")
    mutating func states() {
        #expect(feed(.begin) == [.record, .resolve])
        #expect(feed(.addressed) == [.record, .beginHealth(1)])
        #expect(machine.state == .connecting)
        _ = feed(.health(1, .warm(models)))
        #expect(machine.isOffered)
        _ = feed(.confirmed(1))
        #expect(machine.state == .ready)
        #expect(feed(.health(1, .unreachable("refused"))) == [.record, .resolve])
        #expect(machine.state == .connecting)
        #expect(!machine.isOffered)
        _ = feed(.health(1, .misconfigured("401: its key is wrong")))
        #expect(machine.state == .misconfigured)
        #expect(machine.isSettled)
        _ = feed(.health(1, .healthy(models)))
        _ = feed(.confirmed(1))
        #expect(machine.state == .ready)
    }

    @Test("it is never started or stopped from here")
    mutating func refusals() {
        becomeReady()
        for command in [OperatorCommand.start, .stop, .restart] {
            guard case .answer(1, .refused)? = feed(.command(command, waiter: 1)).last else {
                Issue.record("\(command) was not refused")
                continue
            }
        }
        #expect(machine.state == .ready)
    }

    @Test("unreachable for 30 s is settled")
    mutating func settled() {
        _ = feed(.begin)
        _ = feed(.addressed)
        #expect(!machine.isSettled)
        now = now + .seconds(30)
        #expect(feed(.tick) == [.record])
        #expect(machine.isSettled)
        #expect(machine.nextWake == nil)
    }

    @Test("another address is another run; the old one is kept until nothing is in flight on it")
    mutating func address() {
        becomeReady()
        _ = feed(.addressed)
        #expect(machine.run == 2)
        #expect(machine.retired == [1])
        #expect(machine.state == .connecting)
        _ = feed(.health(1, .warm(models)))
        #expect(!machine.isOffered)
        _ = feed(.drained(1))
        #expect(machine.retired == [])
    }

    @Test("drain, undrain")
    mutating func drain() {
        becomeReady()
        #expect(feed(.command(.drain, waiter: 1)) == [.record])
        #expect(machine.state == .draining)
        #expect(feed(.drained(1)).last == .answer(1, nil))
        #expect(feed(.command(.undrain, waiter: 2)) == [.record])
        #expect(feed(.confirmed(1)).last == .answer(2, nil))
        #expect(machine.state == .ready)
    }

    @Test("a shutdown waits for the drain, within its bound")
    mutating func shutdown() {
        becomeReady()
        #expect(feed(.shutdown(waiter: 1)) == [.record, .endHealth])
        var hurried = machine
        #expect(hurried.handle(.hurry, at: now) == [.answer(1, nil)])
        var drained = machine
        #expect(drained.handle(.drained(1), at: now).last == .answer(1, nil))
        now = now + .seconds(60)
        #expect(feed(.tick) == [.answer(1, nil)])
    }
}
