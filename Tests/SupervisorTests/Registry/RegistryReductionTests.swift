import Fleet
import Testing

@testable import Supervisor

/// The registry's decisions as scripts: records and gateways' words in, snapshots and events out.
@Suite struct RegistryReductionTests {
    static let run1 = InstanceRun(instance: "chat-0", run: 1)
    static let endpoint = Endpoint(address: .unix(path: "/run/stoker/i/0.1.sock"), host: "localhost")

    static func configuration(replicas: Int = 1, readyWhen: Configuration.ReadyWhen = .any) -> Configuration {
        var configuration = Configuration()
        var launch = LaunchConfiguration(model: "org/m")
        launch.replicas = replicas
        configuration.providers = [ProviderConfiguration(name: "chat", source: .launched(launch))]
        configuration.readyWhen = readyWhen
        return configuration
    }

    static func record(
        _ state: InstanceState, published: Bool, instance: String = "chat-0", run: UInt64 = 1,
        models: [String] = ["org/m"],
        reason: String = "", percent: Int? = nil, settled: Bool = false
    ) -> InstanceRecord {
        var status = InstanceStatus(id: instance, run: run, state: state, since: "2026-01-01T00:00:00Z", reason: reason)
        status.published = published
        status.models = models
        status.progressPercent = percent
        let entry = InstanceEntry(
            run: InstanceRun(instance: instance, run: run), endpoint: endpoint, state: state, published: published,
            models: models.map { ModelCard(id: $0) })
        return InstanceRecord(
            provider: "chat", kind: .launched, status: status, entries: [entry], settled: settled,
            isOnItsWay: [.starting, .loading, .warming, .backoff].contains(state))
    }

    static func report(_ registry: RegistryReduction, inflight: Int, failures: UInt64 = 0) -> GatewayReport {
        GatewayReport(
            applied: registry.snapshot.version, inflight: inflight,
            runs: [RunReport(run: run1, inflight: inflight, failures: failures)])
    }

    /// A registry with one gateway, pid 7, that has applied the first snapshot.
    static func connected(_ configuration: Configuration = configuration()) -> RegistryReduction {
        var registry = RegistryReduction(configuration: configuration, epoch: 3)
        _ = registry.gatewayStarted(pid: 7)
        _ = registry.hello(GatewayHello(pid: 7, build: "t", listeners: [], loops: 2, applied: nil))
        _ = registry.applied(registry.snapshot.version, by: 7)
        _ = registry.applied(registry.snapshot.version, by: 7)
        return registry
    }

    @Test func aGatewayThatSaysHelloGetsTheSnapshotWhateverItHas() {
        var registry = RegistryReduction(configuration: Self.configuration(), epoch: 3)
        let actions = registry.hello(GatewayHello(pid: 7, build: "t", listeners: [], loops: 1, applied: nil))
        #expect(actions.contains(.send(gateway: 7)))
    }

    @Test func publicationIsConfirmedWhenTheGatewayHasAppliedIt() {
        var registry = Self.connected()
        let published = registry.record(Self.record(.warming, published: true))
        #expect(published.contains(.broadcast))
        #expect(!published.contains(.tell(instance: "chat-0", .confirmed(Self.run1))))
        let old = SnapshotVersion(epoch: 3, revision: registry.snapshot.revision - 1)
        #expect(!registry.applied(old, by: 7).contains(.tell(instance: "chat-0", .confirmed(Self.run1))))
        let applied = registry.applied(registry.snapshot.version, by: 7)
        #expect(applied.contains(.tell(instance: "chat-0", .confirmed(Self.run1))))
        #expect(
            !registry.applied(registry.snapshot.version, by: 7).contains(
                .tell(instance: "chat-0", .confirmed(Self.run1))))
    }

    @Test func aSecondGatewayHasToApplyItToo() {
        var registry = Self.connected()
        _ = registry.gatewayStarted(pid: 8)
        _ = registry.hello(GatewayHello(pid: 8, build: "t", listeners: [], loops: 2, applied: nil))
        _ = registry.record(Self.record(.warming, published: true))
        let version = registry.snapshot.version
        #expect(!registry.applied(version, by: 7).contains(.tell(instance: "chat-0", .confirmed(Self.run1))))
        #expect(registry.applied(version, by: 8).contains(.tell(instance: "chat-0", .confirmed(Self.run1))))
    }

    @Test func aDrainIsOverWhenAReportAtOrPastTheRevisionSaysZero() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true))
        _ = registry.applied(registry.snapshot.version, by: 7)
        _ = registry.reported(Self.report(registry, inflight: 2), by: 7)
        let before = Self.report(registry, inflight: 0)
        _ = registry.record(Self.record(.draining, published: false))
        let drained = RegistryReduction.Action.tell(instance: "chat-0", .drained(Self.run1))
        #expect(
            !registry.reported(before, by: 7).contains(drained), "a report from before the unpublishing proves nothing")
        #expect(!registry.reported(Self.report(registry, inflight: 1), by: 7).contains(drained))
        #expect(registry.reported(Self.report(registry, inflight: 0), by: 7).contains(drained))
    }

    @Test func theDeathOfTheOnlyGatewayEndsADrain() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true))
        _ = registry.applied(registry.snapshot.version, by: 7)
        _ = registry.reported(Self.report(registry, inflight: 2), by: 7)
        _ = registry.record(Self.record(.draining, published: false))
        #expect(registry.gatewayExited(pid: 7).contains(.tell(instance: "chat-0", .drained(Self.run1))))
    }

    @Test func aLivingGatewayThatIsNotConnectedHoldsADrainUp() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true))
        _ = registry.applied(registry.snapshot.version, by: 7)
        _ = registry.reported(Self.report(registry, inflight: 2), by: 7)
        _ = registry.disconnected(pid: 7)
        let actions = registry.record(Self.record(.draining, published: false))
        #expect(!actions.contains(.tell(instance: "chat-0", .drained(Self.run1))))
    }

    @Test func nothingChangedForTheGatewayMakesNoSnapshot() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true))
        let revision = registry.snapshot.revision
        var same = Self.record(.ready, published: true)
        same.status.checks = [.init(signal: .health, ok: true, ageSeconds: 1, detail: "200")]
        #expect(!registry.record(same).contains(.broadcast))
        #expect(registry.snapshot.revision == revision)
    }

    @Test func failuresSeenByTheGatewayMakeTheOwnerSuspicious() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true))
        _ = registry.reported(Self.report(registry, inflight: 1), by: 7)
        let actions = registry.reported(Self.report(registry, inflight: 0, failures: 1), by: 7)
        #expect(
            actions.contains(
                .tell(instance: "chat-0", .suspected(Self.run1, reason: "the gateway lost a connection"))))
    }

    @Test func aKnownModelThatNobodyServesStaysKnown() {
        var registry = Self.connected()
        _ = registry.record(Self.record(.ready, published: true, models: ["org/m", "adapter"]))
        _ = registry.record(Self.record(.loading, published: false, run: 2, models: []))
        let provider = registry.snapshot.providers[0]
        #expect(provider.knownModels == ["adapter", "org/m"])
        #expect(!provider.settled)
        #expect(provider.loading)
        _ = registry.record(Self.record(.ready, published: true, run: 2))
        #expect(registry.snapshot.providers[0].knownModels == ["org/m"], "all instances are ready without it")
    }

    @Test(arguments: [
        (InstanceState.loading, "loading, 43 %", true), (.backoff, "backoff: exit code 1", true),
        (.failed, "failed: exit code 1", false), (.stopped, "stopped", false),
    ])
    func theReasonForA503(state: InstanceState, sentence: String, loading: Bool) {
        var registry = Self.connected()
        let percent = state == .loading ? 43 : nil
        _ = registry.record(Self.record(state, published: false, reason: "exit code 1", percent: percent))
        #expect(registry.snapshot.providers[0].reason == sentence)
        #expect(registry.snapshot.providers[0].loading == loading)
    }

    @Test func countersOfAGatewayThatIsGoneStay() {
        var registry = Self.connected()
        var report = GatewayReport(applied: registry.snapshot.version, requestsTotal: 5)
        report.requests = [RequestCount(provider: "chat", route: "/v1/models", status: 200, count: 5)]
        _ = registry.reported(report, by: 7)
        _ = registry.gatewayExited(pid: 7)
        _ = registry.gatewayStarted(pid: 9)
        _ = registry.reported(report, by: 9)
        #expect(registry.totals.requestsTotal == 10)
        #expect(registry.totals.requests.values.reduce(0, +) == 10)
    }

    @Test func servedModelNamesComeFromTheArguments() {
        var launch = LaunchConfiguration(model: "org/m")
        #expect(launch.servedModelNames == ["org/m"])
        launch.args = ["--max-model-len", "8", "--served-model-name", "a", "b", "--dtype", "auto"]
        #expect(launch.servedModelNames == ["a", "b"])
        launch.args = ["--served_model_name=c"]
        #expect(launch.servedModelNames == ["c"])
    }
}
