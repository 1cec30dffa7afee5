import Testing

@testable import Supervisor

@Suite("One instance becomes another")
struct ReplacementTests {
    private static func script(_ order: Replacement.Order, _ events: Replacement.Event...) -> [[Replacement.Action]] {
        var replacement = Replacement(order)
        return events.map { replacement.handle($0) }
    }

    @Test func theNewOneFirst() {
        #expect(
            Self.script(.newFirst, .begin, .works, .works, .ready, .ready, .oldLost, .oldGone)
                == [[.start(held: true)], [.offer], [], [.retireOld], [], [], [.finish(.replaced)]])
    }

    @Test func theOldOneFirst() {
        #expect(
            Self.script(.oldFirst, .begin, .oldLost, .oldGone, .works, .ready)
                == [[.retireOld], [], [.start(held: false)], [], [.finish(.replaced)]])
    }

    @Test func aNewOneThatCannotServeLeavesTheOldOneAlone() {
        #expect(
            Self.script(.newFirst, .begin, .settled("no memory"), .settled("again"), .newGone)
                == [
                    [.start(held: true)], [.endNew], [],
                    [.finish(.failed("no memory", oldServes: true))],
                ])
        #expect(
            Self.script(.newFirst, .begin, .works, .settled("dead"), .newGone).suffix(2)
                == [[.endNew], [.finish(.failed("dead", oldServes: true))]])
        #expect(
            Self.script(.oldFirst, .begin, .oldGone, .settled("no memory")).last
                == [.finish(.failed("no memory", oldServes: false))])
    }

    @Test func anOldOneThatDiesMeanwhileIsNotStartedAgain() {
        #expect(
            Self.script(.newFirst, .begin, .oldLost, .oldGone, .works, .ready)
                == [[.start(held: true)], [.offer, .retireOld], [], [], [.finish(.replaced)]])
        #expect(
            Self.script(.newFirst, .begin, .works, .oldLost, .ready, .oldGone).suffix(3)
                == [[.offer, .retireOld], [], [.finish(.replaced)]])
        #expect(
            Self.script(.newFirst, .begin, .oldLost, .settled("no memory")).last
                == [.finish(.failed("no memory", oldServes: false))])
    }

    @Test func givenUp() {
        #expect(
            Self.script(.newFirst, .begin, .cancel("why"), .newGone)
                == [[.start(held: true)], [.endNew], [.finish(.cancelled("why", oldServes: true))]])
        #expect(
            Self.script(.newFirst, .begin, .works, .ready, .cancel("too late"), .oldGone).suffix(2)
                == [[], [.finish(.replaced)]])
        #expect(
            Self.script(.oldFirst, .begin, .cancel("why"), .oldGone)
                == [[.retireOld], [], [.finish(.cancelled("why", oldServes: false))]])
        #expect(
            Self.script(.oldFirst, .begin, .oldGone, .cancel("why")).last
                == [.finish(.cancelled("why", oldServes: false))])
    }
}
