import Fleet

extension HealthMonitor {
    /// What a run is judged by.
    public struct Settings: Sendable, Hashable {
        /// Launched or attached: an attached one is never condemned.
        public var kind: ProviderKind
        /// Intervals, timeouts and thresholds.
        public var configuration: HealthConfiguration
        /// Whether a real request is made before it counts as warm, and of idle ones now and then.
        public var warmup: LaunchConfiguration.Warmup
        /// Ids to believe in where there is no `/v1/models` (the provider's `models:`).
        public var configuredModels: [String]
        /// Ids of which `/v1/models` must list one: what a launched server serves its model as. Empty: any.
        public var expectedIds: [String]

        /// Settings of a run.
        public init(
            kind: ProviderKind, configuration: HealthConfiguration = HealthConfiguration(),
            warmup: LaunchConfiguration.Warmup = .auto, configuredModels: [String] = [], expectedIds: [String] = []
        ) {
            self.kind = kind
            self.configuration = configuration
            self.warmup = warmup
            self.configuredModels = configuredModels
            self.expectedIds = expectedIds
        }

        /// Between two `/v1/models` of a launched server that starts; refused connections cost nothing.
        var seekInterval: Duration { kind == .launched ? .milliseconds(100) : max(period, .milliseconds(1)) }

        /// Between two rounds; never zero, else it would spin.
        var period: Duration { max(configuration.interval, .milliseconds(10)) }

        /// The first request pays for compilation and graphs: it may take as long as a single step may.
        var warmupTimeout: Duration { max(configuration.hangAfter, .seconds(60)) }

        /// Between the tries of a warm-up that was answered, but not with a token.
        var warmupPause: Duration { kind == .launched ? min(period, .milliseconds(500)) : period }

        /// A canary's patience, for an engine must work for it: half of `hang_after`, at most 10 s, and never less than a
        /// probe's. So an idle engine, asked after half of `hang_after` and then once more, is found out as soon as one
        /// with work: after `hang_after` and one canary.
        var canaryTimeout: Duration {
            max(configuration.timeout, min(.seconds(10), configuration.hangAfter / 2))
        }

        /// How long an idle engine goes without a sign of life before it is asked for one: half of `hang_after`, at most 30 s.
        var canaryInterval: Duration { max(period, min(.seconds(30), configuration.hangAfter / 2)) }

        /// A scrape that is older says nothing of now.
        var scrapeLifetime: Duration { period * 2 + configuration.timeout }
    }
}
