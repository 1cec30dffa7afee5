import Fleet
import FoundationEssentials
import Glibc
import Testing

@testable import Supervisor

@Suite("What an earlier life has kept")
struct StateInspectionTests {
    private let folder = TestFolder()
    private var directories: Directories {
        Directories(state: "\(folder.path)/state", runtime: "\(folder.path)/run")
    }

    private func put(_ text: String, at path: String) {
        _ = SystemFile.makeFolder(String(path[..<path.lastIndex(of: "/")!]))
        _ = SystemFile.replace(path, with: Array(text.utf8))
    }

    @Test("what is sound stays, without a word")
    func sound() throws {
        let files = InstanceFiles(directories)
        #expect(files.write(InstanceFile(instance: "chat-0", run: 7, boot: "b")) == nil)
        put("{\"box\":{\"baseURL\":\"http://127.0.0.1:1\"}}", at: "\(directories.state)/attached.json")
        put("{\"chat-0\":\"stop\"}", at: "\(directories.state)/wishes.json")
        put("{\"chat\":[\"org/m\"]}", at: "\(directories.state)/known-models.json")
        put("17\n", at: "\(directories.state)/epoch")
        #expect(StateInspection(directories).run() == [])
        #expect(files.read("chat-0")?.run == 7)
    }

    @Test(
        "what is corrupt is set aside, and said: with what is lost by it",
        arguments: [
            "instances/chat-0.json", "gateway.json", "attached.json", "wishes.json", "memories.json",
            "known-models.json",
            "epoch",
        ],
        ["", "{", "\u{0}\u{0}\u{0}", "[1,2,3]"])
    func corrupt(name: String, text: String) {
        let path = "\(directories.state)/\(name)"
        put(text, at: path)
        let problems = StateInspection(directories).run()
        #expect(problems.count == 1)
        #expect(problems[0].hasPrefix("\(path) is corrupt and was set aside as \(path).set-aside: "))
        #expect(!SystemFile.exists(path) && SystemFile.exists("\(path).set-aside"))
        #expect(StateInspection(directories).run() == [], "once")
    }

    @Test("a record of another instance, and a file of another user, are not ours")
    func foreign() {
        let record = try? JSONEncoder().encode(InstanceFile(instance: "other-0", run: 7, boot: "b"))
        put(String(decoding: record ?? Data(), as: UTF8.self), at: "\(directories.instances)/chat-0.json")
        #expect(StateInspection(directories).run().count == 1)
        put("{}", at: "\(directories.state)/wishes.json")
        guard geteuid() == 0, chown("\(directories.state)/wishes.json", 4711, 4711) == 0 else {
            print("SKIPPED: only root can give a file away")
            return
        }
        let problems = StateInspection(directories).run()
        #expect(problems.count == 1 && problems[0].contains("belongs to user 4711 and was set aside"))
    }

    @Test("where the state directory takes nothing, the runtime directory keeps it; and gives it back")
    func spare() {
        let file = StateFile(path: "/proc/none/x", spare: "\(folder.path)/x")
        #expect(file.write(Array("one".utf8)) == nil)
        #expect(file.read().map { String(decoding: $0, as: UTF8.self) } == "one")
        // The next life, whose disk is well again: what was kept meanwhile is the newer.
        put("zero", at: "\(folder.path)/y")
        let healed = StateFile(path: "\(folder.path)/y", spare: "\(folder.path)/x")
        #expect(healed.read().map { String(decoding: $0, as: UTF8.self) } == "one")
        #expect(healed.write(Array("two".utf8)) == nil)
        #expect(healed.read().map { String(decoding: $0, as: UTF8.self) } == "two")
        #expect(!SystemFile.exists("\(folder.path)/x"))
        #expect(StateFile(path: "/proc/none/x", spare: "/proc/none/y").write([1])?.isEmpty == false)
        let records = InstanceFiles(
            folder: "/proc/none/instances", logs: "\(folder.path)/logs", spare: "\(folder.path)/run/instances")
        #expect(records.write(InstanceFile(instance: "chat-0", run: 9, boot: "b")) == nil)
        #expect(records.names() == ["chat-0"] && records.lastRun("chat-0") == 9)
    }

    @Test("epochs grow, also where the clock was set back by an hour or the file was lost")
    func epochs() throws {
        let future = UInt64(time(nil)) + 3600
        put("\(future)\n", at: "\(directories.state)/epoch")
        let first = try StateDirectory(directories)
        #expect(first.epoch == future + 1 && first.problems == [])
        close(first.lock)
        #expect(throws: DaemonFailure.self) { try StateDirectory(directories) }
        close(first.stateLock)
        put("garbage", at: "\(directories.state)/epoch")
        _ = StateInspection(directories).run()
        let second = try StateDirectory(directories)
        #expect(second.epoch >= UInt64(time(nil)) - 5)
        close(second.lock)
        close(second.stateLock)
    }
}
