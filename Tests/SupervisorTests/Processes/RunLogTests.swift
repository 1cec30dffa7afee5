import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Logs and records on disk")
struct RunLogTests {
    private func append(_ path: String, _ text: String) {
        let fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0o640)
        _ = Array(text.utf8).withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
        close(fd)
    }

    private func read(_ log: RunLog) -> [String] {
        var lines: [String] = []
        while log.read({ lines += $0 }) {}
        return lines
    }

    @Test("whole lines, however they are cut; progress bars line by line; the last one without a newline")
    func lines() throws {
        let folder = TestFolder()
        let path = "\(folder.path)/1.log"
        let log = try #require(RunLog(path: path))
        append(path, "one\ntw")
        #expect(read(log) == ["one"])
        append(path, "o\n10%\r20%\r30%\nende")
        #expect(read(log) == ["two", "10%", "20%", "30%"])
        var rest: [String] = []
        log.finish { rest += $0 }
        #expect(rest == ["ende"])
        #expect(log.lastLines == ["one", "two", "10%", "20%", "30%", "ende"])
    }

    @Test("a line without end is cut, and costs no more memory than that")
    func longLine() throws {
        let folder = TestFolder()
        let path = "\(folder.path)/1.log"
        let log = try #require(RunLog(path: path))
        append(path, String(repeating: "x", count: 3 << 20) + "\nnext\n")
        let lines = read(log)
        #expect(lines.count == 2)
        #expect(lines.first?.utf8.count == RunLog.longestLine)
        #expect(lines.last == "next")
    }

    @Test("the head of a large log is given back to the disk, offsets stay")
    func punching() throws {
        let folder = TestFolder()
        let path = "\(folder.path)/1.log"
        let log = try #require(RunLog(path: path))
        let piece = String(repeating: String(repeating: "y", count: 99) + "\n", count: 10_000)
        for _ in 0..<80 {
            append(path, piece)
            _ = read(log)
        }
        var info = stat()
        #expect(stat(path, &info) == 0)
        #expect(info.st_size == 80_000_000)
        if Int64(info.st_blocks) * 512 >= 80_000_000 {
            print("SKIPPED: this file system cannot punch holes")
        } else {
            #expect(Int64(info.st_blocks) * 512 < 2 * RunLog.keptBytes + (4 << 20))
        }
    }

    @Test("old runs' logs go, the newest stay")
    func keptRuns() {
        let folder = TestFolder()
        let logs = RunLogs(folder: folder.path)
        for run in 1...10 {
            let run = InstanceRun(instance: "chat-0", run: UInt64(run))
            #expect(logs.prepare(run) == nil)
            append(logs.path(run), "x\n")
        }
        #expect(logs.runs(of: "chat-0") == [10, 9, 8, 7, 6, 5])
        #expect(logs.latest(of: "chat-0", previous: true)?.hasSuffix("/chat-0/9.log") == true)
        #expect(logs.latest(of: "none", previous: false) == nil)
    }

    @Test("a record comes back as it was; a corrupt one is none, and the run is known from the logs")
    func records() {
        let folder = TestFolder()
        let files = InstanceFiles(folder: "\(folder.path)/instances", logs: "\(folder.path)/logs")
        var file = InstanceFile(instance: "chat-0", run: 7, boot: "b")
        file.head = InstanceFile.Member(pid: 5, started: 6)
        file.endpoint = Endpoint(address: .unix(path: "/r/i/0.7.sock"), host: "localhost")
        #expect(files.write(file) == nil)
        #expect(files.read("chat-0") == file)
        #expect(files.lastRun("chat-0") == 7)
        append("\(folder.path)/instances/chat-0.json", "garbage")
        #expect(files.read("chat-0") == nil)
        #expect(files.lastRun("chat-0") == 0)
        _ = RunLogs(folder: "\(folder.path)/logs").prepare(InstanceRun(instance: "chat-0", run: 9))
        append("\(folder.path)/logs/chat-0/9.log", "x")
        #expect(files.lastRun("chat-0") == 9)
    }

    @Test("a folder that cannot be written is a sentence, not a crash")
    func unwritable() {
        let files = InstanceFiles(folder: "/proc/none/instances", logs: "/proc/none/logs")
        #expect(files.write(InstanceFile(instance: "a", run: 1, boot: "b"))?.isEmpty == false)
        #expect(files.lastRun("a") == 0)
        #expect(RunLogs(folder: "/proc/none").prepare(InstanceRun(instance: "a", run: 1)) != nil)
    }
}
