import Testing

@testable import Supervisor

@Suite("Who may read weights")
struct StartTurnsTests {
    @Test("two at a time, in the order of asking")
    func order() {
        var turns = StartTurns(limit: 2)
        #expect(turns.take("a") == nil && turns.take("b") == nil)
        #expect(turns.take("c") == "a" && turns.take("d") == "a")
        #expect(turns.take("a") == nil, "it has its turn already")
        turns.end("b")
        #expect(turns.take("d") == "a", "c was first")
        #expect(turns.take("c") == nil)
        turns.end("a")
        turns.end("c")
        #expect(turns.take("d") == nil && turns.take("e") == nil && turns.take("f") == "d")
    }

    @Test("who does not want to any more holds nobody up")
    func cancelled() {
        var turns = StartTurns(limit: 1)
        #expect(turns.take("a") == nil && turns.take("b") == "a" && turns.take("c") == "a")
        turns.end("b")
        turns.end("a")
        #expect(turns.take("c") == nil)
    }

    @Test("no limit; and a limit that changes")
    func limits() {
        var turns = StartTurns(limit: 0)
        for number in 0..<100 { #expect(turns.take("\(number)") == nil) }
        turns.limit = 1
        #expect(turns.take("x") == "0")
        turns.limit = 0
        #expect(turns.take("x") == nil)
    }

    @Test("the daemon's: a release gives the turn back, and so does the end of the start")
    func allocator() async {
        let gpus = GPUAllocator(devices: [])
        await gpus.limitStarts(to: 1)
        #expect(await gpus.takeStart("a") == nil)
        #expect(await gpus.takeStart("b") == "a")
        await gpus.endTurn("a")
        #expect(await gpus.takeStart("b") == nil)
        await gpus.release("b")
        #expect(await gpus.takeStart("c") == nil)
        await gpus.endStart("c")
        #expect(await gpus.takeStart("d") == nil)
    }
}
