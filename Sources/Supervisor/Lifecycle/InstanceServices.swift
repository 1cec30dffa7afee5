import Fleet
import Health
import Logging

/// The outside worlds of an instance's owner, injected: a real one each, a fake each in the tests.
public struct InstanceServices: Sendable {
    /// Time.
    public var clock: any WakeClock
    /// Starts engines. Everything about processes, trees, logs, GPUs and folders is behind it.
    public var spawner: any Spawner
    /// Asks engines.
    public var prober: any HTTPProber
    /// Looks names up.
    public var resolver: any Resolver
    /// How health is asked.
    public var health: HealthConfiguration
    /// For transitions.
    public var logger: Logger
    /// For jitter: another one for every daemon's life.
    public var seed: UInt64

    /// Services.
    public init(
        clock: any WakeClock = SystemClock(), spawner: any Spawner, prober: any HTTPProber,
        resolver: any Resolver = SystemResolver(), health: HealthConfiguration, logger: Logger,
        seed: UInt64 = .random(in: .min ... .max)
    ) {
        self.clock = clock
        self.spawner = spawner
        self.prober = prober
        self.resolver = resolver
        self.health = health
        self.logger = logger
        self.seed = seed
    }
}
