import Fleet
import Glibc
import Logging
import Synchronization
import Testing

@testable import Supervisor

/// Gateways that exist only as numbers.
final class FakeGatewayLauncher: GatewayLauncher {
    private struct State {
        var next: Int32 = 100
        var problem: String?
        var signals: [(Int32, Int32)] = []
        var waiting: [Int32: CheckedContinuation<GatewayExit, Never>] = [:]
        var ended: [Int32: GatewayExit] = [:]
    }

    private let state = Mutex(State())

    var launched: Int32 { state.withLock { $0.next - 100 } }
    var signals: [(signal: Int32, pid: Int32)] { state.withLock { $0.signals.map { ($0.0, $0.1) } } }
    func fail(_ problem: String?) { state.withLock { $0.problem = problem } }

    func launch(_ order: GatewayLaunchOrder) throws(DaemonFailure) -> Int32 {
        let pid = state.withLock { state -> Int32? in
            guard state.problem == nil else { return nil }
            state.next += 1
            return state.next - 1
        }
        guard let pid else { throw DaemonFailure(state.withLock { $0.problem } ?? "") }
        return pid
    }

    func exit(of pid: Int32) async -> GatewayExit {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> GatewayExit? in
                if let exit = state.ended[pid] { return exit }
                state.waiting[pid] = continuation
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    func signal(_ signal: Int32, to pid: Int32) {
        state.withLock { $0.signals.append((signal, pid)) }
        if signal == SIGKILL { end(pid, GatewayExit(signal: signal)) }
    }

    func end(_ pid: Int32, _ exit: GatewayExit) {
        let waiting = state.withLock { state -> CheckedContinuation<GatewayExit, Never>? in
            state.ended[pid] = exit
            return state.waiting.removeValue(forKey: pid)
        }
        waiting?.resume(returning: exit)
    }
}

@Suite("The keeper of the gateway")
struct GatewayKeeperTests {
    private let folder = TestFolder()
    private let launcher = FakeGatewayLauncher()

    private func keeper() -> GatewayKeeper {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let registry = Registry(
            configuration: Configuration(), epoch: 1,
            store: KnownModelsStore(path: "\(folder.path)/known", logger: logger), logger: logger)
        return GatewayKeeper(
            order: GatewayLaunchOrder(
                executable: "/none", listeners: [], registryPath: "\(folder.path)/r", loops: 1, environment: [:]),
            build: "test", record: StateFile(path: "\(folder.path)/gateway.json", spare: nil), launcher: launcher,
            registry: registry, logger: logger)
    }

    @Test("those that die young are followed by others, and that is said, with how the last one ended")
    func crashLoop() async throws {
        let keeper = keeper()
        try await keeper.start(after: nil)
        #expect(await keeper.trouble(at: .now()) == nil)
        for pid in Int32(100)..<103 {
            #expect(await eventually { await keeper.pid == pid })
            launcher.end(pid, GatewayExit(signal: SIGSEGV))
            #expect(await eventually { await keeper.pid != pid })
        }
        let trouble = try #require(await keeper.trouble(at: .now()))
        #expect(trouble.hasPrefix("the gateway ended 3 times in a row soon after its start (signal 11 after "))
        #expect(await keeper.lastExit?.hasPrefix("signal 11 after ") == true)
        #expect(await keeper.restarts == 3)
        #expect(await eventually { await keeper.pid == 103 })
        #expect(await keeper.trouble(at: .now() + GatewayKeeper.settled + .seconds(1)) == nil, "this one lives")
        await keeper.end(grace: .milliseconds(1))
    }

    @Test("one that cannot be started at all is said, and tried again")
    func cannotStart() async throws {
        let keeper = keeper()
        try await keeper.start(after: nil)
        launcher.fail("no such file")
        launcher.end(100, GatewayExit(code: 1))
        #expect(await eventually { await keeper.trouble(at: .now())?.contains("no such file") == true })
        launcher.fail(nil)
        #expect(await eventually { await keeper.pid == 101 })
        #expect(await keeper.trouble(at: .now()) == nil)
        await keeper.end(grace: .milliseconds(1))
    }

    @Test("one that holds too much is replaced; one that holds half as much again is killed")
    func ceiling() async throws {
        let keeper = keeper()
        try await keeper.start(after: nil)
        await keeper.weigh(against: 100) { _ in 100 }
        await keeper.weigh(against: 100) { _ in nil }
        #expect(launcher.launched == 1 && launcher.signals.isEmpty)
        for _ in 0..<3 { await keeper.weigh(against: 100) { $0 == 100 ? 120 : 1 } }
        #expect(await eventually { launcher.launched == 2 })
        #expect(await keeper.pid == 100, "it serves until the other one does")
        #expect(launcher.signals.isEmpty)
        await keeper.weigh(against: 100) { $0 == 100 ? 151 : 1 }
        #expect(await eventually { await keeper.pid == 101 })
        #expect(launcher.signals.map(\.pid) == [100] && launcher.signals.map(\.signal) == [SIGKILL])
        #expect(await keeper.lastExit?.hasSuffix("as it held too much memory") == true)
        await keeper.end(grace: .milliseconds(1))
    }
}
