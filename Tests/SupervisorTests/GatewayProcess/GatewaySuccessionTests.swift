import Testing

@testable import Supervisor

@Suite("Which gateway takes clients")
struct GatewaySuccessionTests {
    private static func serving(_ pid: Int32 = 1) -> GatewaySuccession {
        var succession = GatewaySuccession()
        _ = succession.handle(.begin(current: pid, isFit: true, successor: nil, old: []))
        return succession
    }

    @Test func theFirstOneIsStarted() {
        var succession = GatewaySuccession()
        #expect(
            succession.handle(.begin(current: nil, isFit: true, successor: nil, old: [])) == [.launch(again: false)])
        #expect(succession.handle(.launched(1)) == [])
        #expect(succession.current == 1 && succession.old.isEmpty)
    }

    @Test func oneThatFitsIsTakenOver() {
        var succession = GatewaySuccession()
        #expect(succession.handle(.begin(current: 1, isFit: true, successor: nil, old: [5])) == [])
        #expect(succession.current == 1 && succession.old == [5])
    }

    @Test func aNewOneServesBeforeTheOldOneRetires() {
        var succession = GatewaySuccession()
        #expect(
            succession.handle(.begin(current: 1, isFit: false, successor: nil, old: [])) == [.launch(again: false)])
        #expect(succession.handle(.launched(2)) == [])
        #expect(succession.current == 1, "it takes clients until the other one serves")
        #expect(succession.handle(.serving(2)) == [.retire(1)])
        #expect(succession.current == 2 && succession.old == [1])
        #expect(succession.handle(.exited(1)) == [])
        #expect(succession.old.isEmpty)
    }

    @Test func oneThatDiesBeforeItsTurnChangesNothing() {
        var succession = Self.serving()
        #expect(succession.handle(.renew) == [.launch(again: false)])
        _ = succession.handle(.launched(2))
        #expect(succession.handle(.exited(2)) == [.launch(again: true)])
        #expect(succession.current == 1)
        _ = succession.handle(.launched(3))
        #expect(succession.handle(.stuck(3)) == [.kill(3)])
        #expect(succession.handle(.serving(3)) == [.retire(1)], "it came to serve after all")
    }

    @Test func thereIsRoomForTwoOldOnes() {
        var succession = Self.serving()
        for pid in Int32(2)...3 {
            #expect(succession.handle(.renew) == [.launch(again: false)])
            _ = succession.handle(.launched(pid))
            #expect(succession.handle(.serving(pid)) == [.retire(pid - 1)])
        }
        #expect(succession.handle(.renew) == [], "no stream is cut for a newer program: it waits")
        #expect(succession.isOutdated && succession.current == 3)
        #expect(succession.handle(.exited(1)) == [.launch(again: false)])
        _ = succession.handle(.launched(4))
        #expect(succession.handle(.serving(4)) == [.retire(3)])
        #expect(!succession.isOutdated && succession.old == [2, 3])
    }

    @Test func whoeverEndsUnaskedIsFollowedByAnother() {
        var succession = Self.serving()
        #expect(succession.handle(.exited(1)) == [.launch(again: true)])
        #expect(succession.handle(.launchFailed) == [.launch(again: true)])
        #expect(succession.handle(.launched(2)) == [])
        #expect(succession.current == 2)
    }

    @Test func theSuccessorOfOneThatEndsTakesItsPlaceAtOnce() {
        var succession = Self.serving()
        _ = succession.handle(.renew)
        _ = succession.handle(.launched(2))
        #expect(succession.handle(.exited(1)) == [.launch(again: true)] || succession.current == 2)
        #expect(succession.current == 2)
    }

    @Test("one takes clients, at most two are old, one is launched at a time, whatever the order", arguments: 0..<200)
    func anyOrder(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var succession = GatewaySuccession()
        var living: Set<Int32> = []
        var retired: Set<Int32> = []
        var launching = 0
        var next: Int32 = 1
        func perform(_ actions: [GatewaySuccession.Action]) {
            for action in actions {
                switch action {
                case .launch:
                    launching += 1
                    #expect(launching == 1)
                case .retire(let pid):
                    #expect(living.contains(pid) && retired.insert(pid).inserted)
                    #expect(retired.intersection(living).count <= GatewaySuccession.mostOld)
                    #expect(succession.current.map { living.contains($0) && !retired.contains($0) } == true)
                case .kill(let pid): #expect(pid == succession.successor)
                }
            }
        }
        perform(succession.handle(.begin(current: nil, isFit: true, successor: nil, old: [])))
        for _ in 0..<300 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: perform(succession.handle(.renew))
            case 1, 2:
                guard launching > 0 else { continue }
                launching -= 1
                living.insert(next)
                perform(succession.handle(.launched(next)))
                next += 1
            case 3:
                guard launching > 0 else { continue }
                launching -= 1
                perform(succession.handle(.launchFailed))
            case 4, 5: if let pid = succession.successor { perform(succession.handle(.serving(pid))) }
            default:
                guard let pid = living.randomElement(using: &random) else { continue }
                living.remove(pid)
                perform(succession.handle(.exited(pid)))
            }
            #expect(succession.current != nil || launching == 1, "somebody serves, or is on the way")
        }
        while launching > 0 || succession.successor != nil || succession.isOutdated {
            if launching > 0 {
                launching -= 1
                living.insert(next)
                perform(succession.handle(.launched(next)))
                next += 1
            } else if let pid = succession.successor {
                perform(succession.handle(.serving(pid)))
            } else if let pid = succession.old.first {
                living.remove(pid)
                perform(succession.handle(.exited(pid)))
            }
        }
        #expect(succession.current != nil)
    }
}
