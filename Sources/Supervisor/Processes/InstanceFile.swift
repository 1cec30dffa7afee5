import Fleet

/// What is kept about an instance's run beyond the daemon's life: who the processes are (pid, start time, boot), what
/// belongs to them, and which run it was. One small JSON file an instance, replaced by rename.
struct InstanceFile: Codable, Sendable, Hashable {
    /// A process as one of this boot.
    struct Member: Codable, Sendable, Hashable {
        /// The process id.
        var pid: Int32
        /// Its start in clock ticks since boot.
        var started: UInt64
    }

    /// The layout of this file.
    var version = 1
    /// The instance's name.
    var instance: String
    /// See ``InstancePlan/slot``; nil is 0.
    var slot: Int?
    /// The run's number: the last that was ever used.
    var run: UInt64
    /// The boot that the processes belong to.
    var boot: String
    /// The head; nil where nothing runs.
    var head: Member?
    /// Members seen at the last survey.
    var members: [Member] = []
    /// The cgroup's folder, where there is one.
    var cgroup: String?
    /// Where it listens.
    var endpoint: Endpoint?
    /// The devices it was given.
    var gpus: [String] = []
    /// Its log.
    var log: String?
    /// What it was launched by: ``fingerprint(of:)``. Another one is another server.
    var fingerprint: String?
    /// Its segments of shared memory, to be removed after it.
    var sharedMemory: [String] = []

    /// What it is kept by.
    var key: String { InstancePlan.key(instance, slot: slot ?? 0) }

    /// A stable mark of a launch's configuration, as far as the process depends on it (FNV-1a, 64 bits). Values of
    /// `env` take part, so it is no secret but not the values either.
    static func fingerprint(of launch: LaunchConfiguration) -> String {
        var hash: UInt64 = 14_695_981_039_346_656_037
        func mix(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
            hash = (hash ^ 0xFF) &* 1_099_511_628_211
        }
        for word in launch.command { mix(word) }
        mix("model")
        mix(launch.model)
        for argument in launch.args { mix(argument) }
        mix("env")
        for (name, value) in launch.env.sorted(by: { $0.key < $1.key }) {
            mix(name)
            mix(value.reveal())
        }
        mix(launch.transport.rawValue)
        switch launch.gpus {
        case .automatic: mix("auto")
        case .count(let count): mix("count \(count)")
        case .devices(let devices): devices.forEach { mix($0) }
        }
        return String(hash, radix: 16)
    }
}
