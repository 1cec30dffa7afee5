import Fleet
import Glibc
import Logging
import Synchronization

@testable import Supervisor

/// A folder that is removed with the test.
final class TestFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/stoker-test-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        if info.st_mode & S_IFMT == S_IFDIR {
            for name in SystemFile.names(in: path) { remove("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    /// Writes an executable shell script.
    func script(_ name: String, _ text: String) -> String {
        let path = "\(path)/\(name)"
        _ = SystemFile.replace(path, with: Array(text.utf8), mode: 0o755)
        return path
    }
}

/// What a server has reported, to be waited for.
final class Reports: Sendable {
    private let events = Mutex<[(ServerEvent, Instant)]>([])

    func add(_ event: ServerEvent) { events.withLock { $0.append((event, .now())) } }

    var all: [ServerEvent] { events.withLock { $0.map(\.0) } }

    var lines: [String] {
        all.flatMap { event -> [String] in
            if case .lines(let lines) = event { return lines }
            return []
        }
    }

    /// Waits for an event, with a deadline; the time at which it came.
    func first(within limit: Duration = .seconds(20), _ matches: (ServerEvent) -> Bool) async -> Instant? {
        let deadline = Instant.now() + limit
        while Instant.now() < deadline {
            if let found = events.withLock({ $0.first { matches($0.0) } }) { return found.1 }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }
}

/// Waits for something, with a deadline.
func eventually(within limit: Duration = .seconds(20), _ holds: () async -> Bool) async -> Bool {
    let deadline = Instant.now() + limit
    while Instant.now() < deadline {
        if await holds() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return await holds()
}

/// Everything a real spawner needs, in a folder of its own.
struct SpawnerBench {
    /// The built executable beside the test bundle: the trampoline. nil where it was not built.
    static let executable: String? = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, 4095)
        guard count > 0 else { return nil }
        let own = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = own.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/stoker"
        return access(path, X_OK) == 0 ? path : nil
    }()

    /// The kinds of trees that can be tried here.
    enum Kind: String, CaseIterable, Sendable {
        case session, cgroup
    }

    let folder = TestFolder()
    let trees: ProcessTrees
    let spawner: EngineSpawner

    /// nil where this kind of tree cannot be had on this machine.
    init?(_ kind: Kind, environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin"]) {
        guard let executable = Self.executable else { return nil }
        let detected = ProcessTrees.detect(runtime: folder.path)
        switch kind {
        case .session: trees = ProcessTrees(kind: .session("a test"))
        case .cgroup:
            guard case .cgroup = detected.kind else { return nil }
            trees = detected
        }
        spawner = Self.spawner(folder, trees, executable, environment)
    }

    static func spawner(
        _ folder: TestFolder, _ trees: ProcessTrees, _ executable: String, _ environment: [String: String]
    ) -> EngineSpawner {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        var setup = EngineSpawner.Setup(
            directories: Directories(state: "\(folder.path)/state", runtime: "\(folder.path)/run"),
            executable: executable, environment: environment, trees: trees, logger: logger)
        setup.openFiles = 512
        return EngineSpawner(setup)
    }

    func another() -> EngineSpawner {
        Self.spawner(folder, trees, Self.executable!, ["PATH": "/usr/local/bin:/usr/bin:/bin"])
    }

    func order(_ command: [String], run: UInt64 = 1, env: [String: Secret] = [:]) -> LaunchOrder {
        var launch = LaunchConfiguration(model: "org/m")
        launch.command = command
        launch.env = env
        let provider = ProviderConfiguration(name: "chat", source: .launched(launch))
        return LaunchOrder(plan: InstancePlan(name: "chat-0", number: 0, provider: provider), launch: launch, run: run)
    }

    func launch(_ order: LaunchOrder, _ reports: Reports) async -> Result<any LaunchedServer, LaunchFailure> {
        await spawner.launch(order) { reports.add($0) }
    }
}

/// Ten times the contract's 100 ms: a busy machine makes dying itself slow, and what is asserted is that it is seen at
/// all long before the server's own 4.9 s.
let exitMark: Duration = .seconds(1)

/// Whether a process lives: a zombie does not.
func lives(_ pid: Int32) -> Bool { ProcessTable.entry(pid).map { !$0.isZombie } ?? false }
