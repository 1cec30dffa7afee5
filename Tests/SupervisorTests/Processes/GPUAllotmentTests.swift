import Fleet
import Testing

@testable import Supervisor

@Suite("Who gets which GPU")
struct GPUAllotmentTests {
    private func machine(_ count: Int) -> GPUAllotment {
        GPUAllotment(devices: (0..<count).map { GPU(index: $0, uuid: "GPU-\($0)", name: "H", memoryBytes: 80 << 30) })
    }

    @Test("the default is one where there is any, else nothing is said about devices")
    func automatic() throws {
        var none = machine(0)
        #expect(try none.allot(.automatic, to: "a").get().visible == nil)
        var two = machine(2)
        #expect(try two.allot(.automatic, to: "a").get().visible == ["0"])
        #expect(try two.allot(.automatic, to: "b").get().visible == ["1"])
        guard case .failure(.taken(let why)) = two.allot(.automatic, to: "c") else {
            Issue.record("a GPU was given twice")
            return
        }
        #expect(why.contains("a, b"))
        two.release("a")
        #expect(try two.allot(.automatic, to: "c").get().visible == ["0"])
    }

    @Test("zero hides them all; too many can never be")
    func counts() throws {
        var two = machine(2)
        #expect(try two.allot(.count(0), to: "a").get().visible == [])
        #expect(try two.allot(.count(2), to: "b").get().visible == ["0", "1"])
        guard case .failure(.impossible) = two.allot(.count(3), to: "c") else {
            Issue.record("three of two")
            return
        }
    }

    @Test("named ones may be shared among named ones, never with counted ones")
    func named() throws {
        var two = machine(2)
        #expect(try two.allot(.devices(["0"]), to: "a").get().visible == ["0"])
        #expect(try two.allot(.devices(["GPU-0"]), to: "b").get().visible == ["GPU-0"])
        #expect(try two.allot(.count(1), to: "c").get().visible == ["1"])
        guard case .failure(.taken) = two.allot(.devices(["1"]), to: "d") else {
            Issue.record("a counted GPU was shared")
            return
        }
        guard case .failure(.impossible) = two.allot(.devices(["7"]), to: "d") else {
            Issue.record("there is no GPU 7")
            return
        }
    }

    @Test("starts on one GPU take turns")
    func turns() async {
        let allocator = GPUAllocator(devices: machine(2).devices)
        _ = await allocator.allot(.devices(["0"]), to: "a")
        _ = await allocator.allot(.devices(["0"]), to: "b")
        _ = await allocator.allot(.devices(["1"]), to: "c")
        #expect(await allocator.takeTurn("a") == nil)
        #expect(await allocator.takeTurn("b") == "a")
        #expect(await allocator.takeTurn("c") == nil)
        await allocator.endTurn("a")
        #expect(await allocator.takeTurn("b") == nil)
    }
}
