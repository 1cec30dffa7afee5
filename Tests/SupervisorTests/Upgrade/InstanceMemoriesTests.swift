import Fleet
import Testing

@testable import Supervisor

@Suite("What instances went through, over a crash")
struct InstanceMemoriesTests {
    private let folder = TestFolder()
    private var file: StateFile { StateFile(path: "\(folder.path)/memories.json", spare: nil) }

    private static func memory(run: UInt64, restarts: Int) -> InstanceMemory {
        InstanceMemory(run: run, restarts: restarts, spent: RestartPolicy.Spent(startsInARow: restarts))
    }

    @Test("each change is kept, for this boot; of two owners the newer run speaks")
    func kept() async {
        let memories = InstanceMemories(file, earlier: ["embed-0": Self.memory(run: 1, restarts: 0)])
        memories.keep(Self.memory(run: 2, restarts: 1), of: "chat-0")
        memories.keep(Self.memory(run: 1, restarts: 7), of: "chat-0")
        let all = ["embed-0": Self.memory(run: 1, restarts: 0), "chat-0": Self.memory(run: 2, restarts: 1)]
        #expect(await eventually { InstanceMemories.read(file) == all })
        #expect(InstanceMemories.read(file, boot: "another").isEmpty)
        memories.forget("embed-0")
        #expect(await eventually { InstanceMemories.read(file).keys.sorted() == ["chat-0"] })
        // A replacement that came to nothing: the older run speaks again.
        memories.forget("chat-0")
        memories.keep(Self.memory(run: 1, restarts: 7), of: "chat-0")
        #expect(await eventually { InstanceMemories.read(file) == ["chat-0": Self.memory(run: 1, restarts: 7)] })
    }

    @Test("a stop of the daemon ends it")
    func cleared() async {
        let memories = InstanceMemories(file, earlier: [:])
        memories.keep(Self.memory(run: 2, restarts: 1), of: "chat-0")
        #expect(await eventually { !InstanceMemories.read(file).isEmpty })
        memories.clear()
        memories.keep(Self.memory(run: 3, restarts: 2), of: "chat-0")
        #expect(!SystemFile.exists(file.path))
    }
}
