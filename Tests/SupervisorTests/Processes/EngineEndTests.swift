import Fleet
import Glibc
import Health
import Logging
import Synchronization
import Testing

@testable import Supervisor

@Suite(
    "What is known of an end", .serialized,
    .enabled(if: SpawnerBench.executable != nil, "SKIPPED: build the stoker executable first"))
struct EngineEndTests {
    /// A session that keeps its count of OOM kills in a folder as the kernel's memory controller would.
    private struct FakeCgroup: ProcessTree {
        let session: SessionTree
        let cgroup: CgroupTree

        var description: String { "fake \(cgroup.description)" }
        var joinFile: String? { nil }
        var folder: String? { nil }
        func begin(head: Int32, started: UInt64) { session.begin(head: head, started: started) }
        func members() -> [ProcessTable.Entry] { session.members() }
        func isEmpty() -> Bool { session.isEmpty() }
        func kill() { session.kill() }
        func oomKills() -> Int? { cgroup.oomKills() }
        func remove() {}
    }

    /// GPUs as NVML would show them.
    private struct FakeGPUs: GPUInventory {
        func devices() -> [GPU] {
            [
                GPU(index: 0, uuid: "GPU-0", name: "Fake", memoryBytes: 80 << 30),
                GPU(index: 1, uuid: "GPU-1", name: "Fake", memoryBytes: 80 << 30),
            ]
        }
        func memory(of uuid: String) -> GPUMemory? {
            GPUMemory(free: 1 << 30, total: 80 << 30, holders: [42: 79 << 30])
        }
        func utilization(of uuid: String) -> Double? { 1 }
    }

    private func context(_ folder: TestFolder, path: String?) -> EngineContext {
        let directories = Directories(state: "\(folder.path)/state", runtime: "\(folder.path)/run")
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return EngineContext(
            directories: directories, files: InstanceFiles(directories), logs: RunLogs(folder: directories.logs),
            ports: PortAllocator(), gpus: GPUAllocator(devices: []), inventory: FakeGPUs(), path: path,
            sink: NoLogSink(), logger: logger)
    }

    private func process(
        _ folder: TestFolder, path: String? = nil, gpus: [String] = [], reports: Reports = Reports(),
        tree: (String) -> any ProcessTree
    ) throws -> EngineProcess {
        let context = context(folder, path: path)
        let run = InstanceRun(instance: "chat-0", run: 1)
        #expect(context.logs.prepare(run) == nil)
        let log = try #require(RunLog(path: context.logs.path(run)))
        let arguments = Trampoline.arguments(
            executable: SpawnerBench.executable!, join: nil, log: log.path, openFiles: nil, oomScore: nil,
            command: ["/bin/sh", "-c", "echo up; exec sleep 1000"])
        let pid = try EngineSpawner.execute(SpawnerBench.executable!, arguments, ["PATH": "/usr/bin:/bin"]).get()
        let started = ProcessTable.entry(pid)?.started ?? 0
        var file = InstanceFile(instance: "chat-0", run: 1, boot: ProcessTable.bootID)
        file.head = InstanceFile.Member(pid: pid, started: started)
        file.gpus = gpus
        let process = EngineProcess(
            pid: pid, started: started, file: file,
            endpoint: Endpoint(address: .unix(path: "\(folder.path)/s"), host: "localhost"), log: log,
            tree: tree(log.path), context: context, queue: .init(label: "test"), report: { reports.add($0) })
        process.begin()
        return process
    }

    @Test("an OOM kill is said as the reason: what memory.events counts during the run, by a fake cgroup tree")
    func oom() async throws {
        let folder = TestFolder()
        let events = "\(folder.path)/cgroup/memory.events"
        _ = SystemFile.makeFolder("\(folder.path)/cgroup")
        // An earlier run's is not this one's.
        _ = SystemFile.replace(events, with: Array("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n".utf8))
        let reports = Reports()
        let process = try process(folder, reports: reports) {
            FakeCgroup(session: SessionTree(log: $0), cgroup: CgroupTree(path: "\(folder.path)/cgroup"))
        }
        _ = SystemFile.replace(events, with: Array("low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n".utf8))
        kill(process.pid, SIGKILL)
        #expect(await reports.first { $0 == .exited(.signal(9)) } != nil)
        await process.end(evidence: nil)
        #expect(process.kernelCause() == "the kernel killed 1 of its processes for lack of memory")
        #expect(process.evidencePath == nil)
    }

    @Test("without a memory controller nothing is claimed")
    func noController() async throws {
        let folder = TestFolder()
        let process = try process(folder) {
            FakeCgroup(session: SessionTree(log: $0), cgroup: CgroupTree(path: "\(folder.path)/none"))
        }
        await process.end(evidence: nil)
        #expect(process.kernelCause() == nil && !lives(process.pid))
    }

    @Test(
        "evidence: why, threads, GPUs, the log's end, and py-spy's word where that is installed",
        arguments: [true, false])
    func evidence(hasTool: Bool) async throws {
        let folder = TestFolder()
        if hasTool { _ = folder.script("py-spy", "#!/bin/sh\necho \"stacks of $*\"\n") }
        let process = try process(folder, path: "\(folder.path):/usr/bin:/bin", gpus: ["1"]) { SessionTree(log: $0) }
        #expect(await eventually { process.lastLines() == ["up"] })
        await process.end(evidence: "hung: 3 in flight\n  progress: not ok\n")
        let path = try #require(process.evidencePath)
        #expect(path == "\(folder.path)/state/logs/chat-0/1.evidence")
        let text = try #require(SystemFile.text(path))
        #expect(text.contains("hung: 3 in flight\n  progress: not ok\n"))
        #expect(text.contains("GPU 1 (Fake), 1024 of 81920 MiB free, pid 42 holds 80896 MiB, 100 % busy"))
        #expect(!text.contains("GPU 0"), "another instance's")
        #expect(text.contains("pid \(process.pid): sleep 1000") && text.contains("waits in "))
        #expect(text.contains("last lines of its log:\n  up\n"))
        #expect(text.contains("stacks of dump --nonblocking --pid \(process.pid)") == hasTool)
        #expect(!lives(process.pid))
    }

    @Test("a py-spy that does not come back holds the end up for seconds, not for ever")
    func deafTool() async throws {
        let folder = TestFolder()
        _ = folder.script("py-spy", "#!/bin/sh\nexec sleep 1000\n")
        let process = try process(folder, path: "\(folder.path):/usr/bin:/bin") { SessionTree(log: $0) }
        await process.end(evidence: "hung")
        #expect(!lives(process.pid))
        #expect(SystemFile.text(try #require(process.evidencePath))?.contains("it had not ended after") == true)
    }
}
