import Fleet

/// A run of an instance that an earlier life of the daemon left, and the choice among them. A pure value.
struct LeftRun: Sendable, Hashable {
    /// See ``InstancePlan/slot``.
    var slot: Int
    /// Its number.
    var run: UInt64
    /// What it was launched by: ``InstanceFile/fingerprint(of:)``.
    var fingerprint: String?

    /// A run, and the provider by which it was launched; nil where no known configuration did that: it is ended.
    struct Choice: Sendable, Hashable {
        var run: LeftRun
        var provider: ProviderConfiguration?
    }

    /// Which run is taken over: the one that clients are sent to where two are left of a replacement, else the newest; of
    /// these the first that a configuration explains, the present one before earlier ones.
    ///
    /// - Parameters:
    ///   - published: The run that gateways route to, where one does.
    ///   - configured: The provider as it is configured.
    ///   - earlier: As it was before, the newest first.
    /// - Returns: nil where nothing is left.
    static func choose(
        _ left: [LeftRun], published: UInt64?, configured: ProviderConfiguration, earlier: [ProviderConfiguration]
    ) -> Choice? {
        let runs = left.sorted { ($0.run == published ? 1 : 0, $0.run) > ($1.run == published ? 1 : 0, $1.run) }
        for run in runs {
            for provider in [configured] + earlier where run.isOf(provider) {
                return Choice(run: run, provider: provider)
            }
        }
        return runs.first.map { Choice(run: $0, provider: nil) }
    }

    private func isOf(_ provider: ProviderConfiguration) -> Bool {
        guard case .launched(let launch) = provider.source else { return false }
        return fingerprint == InstanceFile.fingerprint(of: launch)
    }
}
