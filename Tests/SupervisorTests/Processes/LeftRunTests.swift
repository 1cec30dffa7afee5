import Fleet
import Testing

@testable import Supervisor

@Suite("Which run of an earlier life is taken over")
struct LeftRunTests {
    private static func provider(_ argument: String) -> ProviderConfiguration {
        var launch = LaunchConfiguration(model: "org/m")
        launch.args = [argument]
        return ProviderConfiguration(name: "chat", source: .launched(launch))
    }

    private static func run(_ number: UInt64, slot: Int, _ argument: String) -> LeftRun {
        var launch = LaunchConfiguration(model: "org/m")
        launch.args = [argument]
        return LeftRun(slot: slot, run: number, fingerprint: InstanceFile.fingerprint(of: launch))
    }

    private static let now = provider("now")
    private static let before = provider("before")

    @Test("in the middle of a replacement the one that clients are sent to, by its own configuration")
    func serving() {
        let runs = [Self.run(1, slot: 0, "before"), Self.run(2, slot: 1, "now")]
        let choice = LeftRun.choose(runs, published: 1, configured: Self.now, earlier: [Self.before])
        #expect(choice == .init(run: runs[0], provider: Self.before))
    }

    @Test("the newest where nobody is sent anywhere")
    func newest() {
        let runs = [Self.run(1, slot: 0, "before"), Self.run(2, slot: 1, "now")]
        let choice = LeftRun.choose(runs, published: nil, configured: Self.now, earlier: [Self.before])
        #expect(choice == .init(run: runs[1], provider: Self.now))
    }

    @Test("another one where no configuration explains the one that serves; none where none is explained")
    func unexplained() {
        let runs = [Self.run(1, slot: 0, "unknown"), Self.run(2, slot: 1, "now")]
        #expect(
            LeftRun.choose(runs, published: 1, configured: Self.now, earlier: [])
                == .init(run: runs[1], provider: Self.now))
        #expect(
            LeftRun.choose([runs[0]], published: 1, configured: Self.now, earlier: [Self.before])
                == .init(run: runs[0], provider: nil))
        #expect(LeftRun.choose([], published: 1, configured: Self.now, earlier: [Self.before]) == nil)
    }
}
