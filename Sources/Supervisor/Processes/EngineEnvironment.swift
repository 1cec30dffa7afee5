import Fleet

/// The environment of a launched server: what the daemon inherited, without what is not the engine's business, with
/// what the provider gives it. Pure.
public enum EngineEnvironment {
    /// Set so that the gateway's idle connections outlive vLLM's own 5 s, unless the user sets it.
    public static let keepAlive = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"

    /// Names that systemd gives to a service's main process, and to it alone.
    static let systemd: Set<String> = [
        "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "MANAGERPIDFDID",
        "SYSTEMD_EXEC_PID", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY",
        "CONFIGURATION_DIRECTORY", "SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS", "PIDFILE", "FDSTORE",
        "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "REMOTE_ADDR", "REMOTE_PORT", "SO_COOKIE", "TRIGGER_UNIT",
        "TRIGGER_PATH", "TRIGGER_TIMER_REALTIME_USEC", "TRIGGER_TIMER_MONOTONIC_USEC",
    ]

    /// Whether a variable is about the one process that systemd watches: another one that had it would speak for it.
    static func isForMainProcess(_ name: String) -> Bool {
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].contains(name) || name.hasPrefix("LISTEN_")
    }

    /// Whether a variable of the daemon's environment must not reach an engine.
    ///
    /// `VLLM_[SUFFIX_]BASE_URL`, `_API_KEY` and `_MODELS` configure us, not the engine: inherited, `VLLM_API_KEY` would
    /// turn authentication on in every launched server, and the others are other providers' keys.
    public static func isWithheld(_ name: String) -> Bool {
        if systemd.contains(name) || name.hasPrefix("STOKER_") || name.hasPrefix("GOMODEL_") { return true }
        guard name.hasPrefix("VLLM_") else { return false }
        return ["_BASE_URL", "_API_KEY", "_MODELS"].contains { name.hasSuffix($0) }
    }

    /// Puts it together.
    ///
    /// - Parameters:
    ///   - inherited: The daemon's own environment.
    ///   - provider: The provider's `env`, which wins over everything.
    ///   - devices: The devices it may use; empty hides all of them, nil says nothing about devices.
    ///   - withheld: Names beside the known ones, such as variables that other providers' keys were read from.
    public static func make(
        inherited: [String: String], provider: [String: Secret], devices: [String]?, withheld: Set<String> = []
    ) -> [String: String] {
        var environment = inherited.filter { !isWithheld($0.key) && !withheld.contains($0.key) }
        if environment[keepAlive] == nil { environment[keepAlive] = "75" }
        if let devices {
            environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            environment["CUDA_VISIBLE_DEVICES"] = devices.joined(separator: ",")
        }
        for (name, value) in provider { environment[name] = value.reveal() }
        return environment
    }
}
