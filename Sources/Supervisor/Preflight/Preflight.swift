import Fleet
import Glibc

/// `stoker check`, second half: what a configuration cannot tell and the machine can. Looks and tries, changes nothing, and
/// asks nothing of the network.
public struct Preflight {
    /// A configuration without problems of its own.
    public var configuration: Configuration
    /// The configuration's file; nil where the environment stands alone.
    public var file: String?
    /// The environment that the daemon would have.
    public var environment: [String: String]
    /// Where state and sockets would be.
    public var directories: Directories
    /// The files that keys were read from, by the configuration's path that names each.
    public var keyFiles: [String: String]
    /// Where shared memory is; another place in tests.
    var sharedMemory = "/dev/shm"
    /// Where the NVIDIA driver lists its GPUs; another place in tests.
    var gpuList = "/proc/driver/nvidia/gpus"
    /// The GPUs; NVML's where nothing else is given.
    var inventory: (any GPUInventory)?
    /// The unit that would run this configuration; nil where there is none.
    var unit: UnitFile?
    /// This process's limits.
    var limits = ProcessLimits.present

    /// What was found.
    public struct Report: Sendable, Hashable {
        /// What is in order and worth knowing, a sentence each.
        public var facts: [String] = []
        /// What is not.
        public var findings: [PreflightFinding] = []

        mutating func add(
            _ severity: PreflightFinding.Severity, _ path: String, _ message: String,
            at place: PreflightFinding.Place? = nil
        ) {
            findings.append(PreflightFinding(severity, path, message, at: place))
        }
    }

    /// A preflight for a daemon with this environment.
    ///
    /// - Parameters:
    ///   - file: The configuration's file; the unit's limits count where it is the one that the unit reads.
    ///   - keyFiles: The files that keys were read from, by the path that names each.
    public init(
        configuration: Configuration, environment: [String: String], directories: Directories, file: String? = nil,
        keyFiles: [String: String] = [:]
    ) {
        self.configuration = configuration
        self.environment = environment
        self.directories = directories
        self.keyFiles = keyFiles
        self.file = file
        if file == ConfigurationLoader.defaultFile { use(UnitFile.find()) }
    }

    /// Looks at everything as the unit's daemon would: with its environment, not with the caller's.
    mutating func use(_ unit: UnitFile?) {
        self.unit = unit
        guard let unit else { return }
        let user = unit.settings["User"]?.value
        environment = unit.environment(home: user.flatMap { Reader($0)?.home })
    }

    /// Looks at everything.
    public func run() -> Report {
        var report = Report()
        let isRunning = ListeningSocket.answers(directories.adminSocket)
        checkDirectories(&report)
        checkListeners(&report, isRunning: isRunning)
        checkKeys(&report)
        checkLimits(&report)
        let launches = configuration.providers.compactMap { provider -> Launch? in
            guard case .launched(let launch) = provider.source else { return nil }
            return Launch(name: provider.name, launch: launch, instances: provider.instanceNames)
        }
        guard configuration.mode == .supervise, !launches.isEmpty else { return report }
        var folders: [String: ModelFolder] = [:]
        for launch in launches {
            checkCommand(launch, &report)
            folders[launch.name] = checkModel(launch, &report)
        }
        checkSharedMemory(&report)
        checkGPUs(launches, folders, &report, isRunning: isRunning)
        return report
    }

    /// A provider that is launched here.
    struct Launch {
        var name: String
        var launch: LaunchConfiguration
        var instances: [String]

        /// Its path in the configuration.
        var path: String { "providers.\(name)" }
    }

    /// `errno` in words.
    static var reason: String { String(cString: strerror(errno)) }

    /// The user that the unit's daemon runs as, where that is not who asks.
    var reader: Reader? {
        guard geteuid() == 0, let name = unit?.settings["User"]?.value else { return nil }
        let groups = unit?.settings["SupplementaryGroups"]?.value.split(separator: " ").map(String.init) ?? []
        return Reader(name, groups: groups)
    }
}
