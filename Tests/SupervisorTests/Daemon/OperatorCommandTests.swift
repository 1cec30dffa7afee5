import Fleet
import Testing

@testable import Supervisor

@Suite("Whom a command to a whole provider means")
struct OperatorCommandTests {
    @Test("draining means those that may have something in flight", arguments: InstanceState.allCases)
    func drain(state: InstanceState) {
        let nothingToDrain: Set<InstanceState> = [.stopped, .failed, .stopping, .quarantined]
        #expect(OperatorCommand.drain.fits(.launched, in: state, wish: nil) == !nothingToDrain.contains(state))
    }

    @Test("undraining means those that somebody drained")
    func undrain() {
        #expect(OperatorCommand.undrain.fits(.launched, in: .draining, wish: .drain))
        #expect(!OperatorCommand.undrain.fits(.launched, in: .ready, wish: nil))
        #expect(!OperatorCommand.undrain.fits(.launched, in: .stopped, wish: .stop))
    }

    @Test("what is attached is not started, stopped or restarted", arguments: [OperatorCommand.start, .stop, .restart])
    func attached(command: OperatorCommand) {
        #expect(command.fits(.launched, in: .ready, wish: nil))
        #expect(!command.fits(.attached, in: .ready, wish: nil))
    }

    @Test("nobody is drained who is not there")
    func absent() { #expect(!OperatorCommand.drain.fits(nil, in: nil, wish: nil)) }
}
