import Fleet
import Testing

@testable import Supervisor

/// What a new supervisor does with what a gateway that lived on routes by.
@Suite struct RegistryInheritanceTests {
    private static let run1 = RegistryReductionTests.run1

    private static func last(
        ready: Bool = true, epoch: UInt64 = 2, provider: String = "chat", instance: String = "chat-0"
    ) -> RegistrySnapshot {
        var settings = GatewaySettings()
        settings.ready = ready
        return RegistrySnapshot(
            epoch: epoch, revision: 9, settings: settings,
            providers: [
                ProviderEntry(
                    name: provider,
                    instances: [
                        InstanceEntry(
                            run: InstanceRun(instance: instance, run: 1), endpoint: RegistryReductionTests.endpoint,
                            state: .ready, published: true, models: [ModelCard(id: "org/m")])
                    ])
            ])
    }

    private static func takenOver(
        _ configuration: Configuration = RegistryReductionTests.configuration(), last: RegistrySnapshot = last()
    ) -> RegistryReduction {
        var registry = RegistryReduction(configuration: configuration, epoch: 3)
        _ = registry.gatewayStarted(pid: 7)
        let actions = registry.hello(GatewayHello(pid: 7, build: "t", listeners: [], loops: 2, applied: last))
        #expect(actions.contains(.send(gateway: 7)))
        return registry
    }

    private static func published(_ registry: RegistryReduction) -> [InstanceRun] {
        registry.snapshot.providers.flatMap(\.instances).filter(\.published).map(\.run)
    }

    /// A record of a launched instance that is being looked for.
    private static var looking: InstanceRecord {
        var record = RegistryReductionTests.record(.starting, published: false, models: [])
        record.entries = []
        return record
    }

    @Test func theFirstSnapshotOfANewSupervisorHasWhatThePredecessorPublished() {
        var registry = Self.takenOver()
        #expect(Self.published(registry) == [Self.run1])
        #expect(registry.snapshot.settings.ready)
        _ = registry.record(Self.looking)
        #expect(Self.published(registry) == [Self.run1], "not dropped merely because it was not asked yet")
        _ = registry.record(RegistryReductionTests.record(.ready, published: true))
        #expect(Self.published(registry) == [Self.run1])
        #expect(registry.snapshot.settings.ready, "also before the gateway has applied anything of ours")
        _ = registry.applied(registry.snapshot.version, by: 7)
        #expect(registry.snapshot.settings.ready)
        #expect(registry.inherited == [:])
    }

    @Test func whatCouldNotBeTakenOverIsDroppedAtOnce() {
        var registry = Self.takenOver()
        _ = registry.record(Self.looking)
        var next = RegistryReductionTests.record(.starting, published: false, run: 2, models: [])
        next.entries = []
        #expect(registry.record(next).contains(.broadcast))
        #expect(Self.published(registry) == [])
        _ = registry.applied(registry.snapshot.version, by: 7)
        #expect(!registry.snapshot.settings.ready)
    }

    @Test func aDeathIsBelievedWhateverWasInherited() {
        var registry = Self.takenOver()
        _ = registry.record(RegistryReductionTests.record(.stopping, published: false))
        #expect(Self.published(registry) == [])
    }

    @Test func whatIsNotConfiguredAnyMoreIsNotInherited() {
        #expect(Self.published(Self.takenOver(last: Self.last(instance: "other-0"))) == [])
    }

    @Test func aSnapshotOfThisOrALaterEpochIsNotInherited() {
        #expect(Self.published(Self.takenOver(last: Self.last(epoch: 3))) == [])
    }

    @Test func anAttachedServerStandsUntilItHasAnsweredOrFailedTo() {
        var configuration = Configuration()
        configuration.providers = [
            ProviderConfiguration(
                name: "box",
                source: .attached(
                    AttachConfiguration(baseURL: BaseURL(isTLS: false, host: "box", port: 8000, path: ""))))
        ]
        let last = Self.last(provider: "box", instance: "box")
        let run = InstanceRun(instance: "box", run: 1)
        func record(_ state: InstanceState, published: Bool, failed: Bool = false) -> InstanceRecord {
            var record = RegistryReductionTests.record(state, published: published, instance: "box")
            record.kind = .attached
            record.provider = "box"
            if failed {
                record.status.lastFailure = InstanceStatus.Failure(
                    at: "2026-01-01T00:00:00Z", kind: "unreachable", detail: "refused", logTail: [], hint: nil)
            }
            return record
        }
        var registry = Self.takenOver(configuration, last: last)
        _ = registry.record(record(.connecting, published: false))
        #expect(Self.published(registry) == [run])
        // Its owner publishes it: like what was inherited, and yet the owner has to hear that it is applied.
        _ = registry.applied(registry.snapshot.version, by: 7)
        #expect(registry.record(record(.connecting, published: true)).contains(.broadcast))
        #expect(registry.applied(registry.snapshot.version, by: 7).contains(.tell(instance: "box", .confirmed(run))))

        var failing = Self.takenOver(configuration, last: last)
        _ = failing.record(record(.connecting, published: false, failed: true))
        #expect(Self.published(failing) == [])
    }
}
