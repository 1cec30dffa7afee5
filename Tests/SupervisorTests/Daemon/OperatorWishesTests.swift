import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("What people have asked, over a crash")
struct OperatorWishesTests {
    private static func directories(_ folder: TestFolder) -> Directories {
        Directories(
            environment: ["STATE_DIRECTORY": folder.path, "RUNTIME_DIRECTORY": folder.path], isRoot: false)
    }

    @Test("stopped and drained are kept until they are taken back")
    func kept() {
        let folder = TestFolder()
        var wishes = OperatorWishes(Self.directories(folder))
        wishes.ask(.stop, of: ["chat-0", "chat-1"])
        wishes.ask(.drain, of: ["embed-0"])
        wishes.ask(.start, of: ["chat-1"])
        var next = OperatorWishes(Self.directories(folder))
        #expect(next["chat-0"] == .stop)
        #expect(next["chat-1"] == nil)
        #expect(next["embed-0"] == .drain)
        next.ask(.undrain, of: ["embed-0", "chat-0"])
        next.ask(.restart, of: ["chat-0"])
        next.ask(.restart, of: ["embed-0"])
        let last = OperatorWishes(Self.directories(folder))
        #expect(last["embed-0"] == nil)
        #expect(last["chat-0"] == nil)
    }

    @Test("a restart leaves a drain as it is, a stop of the daemon ends all")
    func cleared() {
        let folder = TestFolder()
        var wishes = OperatorWishes(Self.directories(folder))
        wishes.ask(.drain, of: ["chat-0"])
        wishes.ask(.restart, of: ["chat-0"])
        #expect(wishes["chat-0"] == .drain)
        wishes.clear()
        #expect(OperatorWishes(Self.directories(folder))["chat-0"] == nil)
    }

    @Test("a file that cannot be read is no wish")
    func damaged() {
        let folder = TestFolder()
        #expect(SystemFile.replace("\(folder.path)/wishes.json", with: Array("{".utf8)) == nil)
        #expect(OperatorWishes(Self.directories(folder))["chat-0"] == nil)
    }
}
