import Fleet

/// The command line of a launched server: pure, from the configuration and vLLM's version.
///
/// | flag | from version | why |
/// |---|---|---|
/// | `--uds` | 0.11 | the gateway's connections need no port |
/// | `--disable-access-log-for-endpoints` | 0.16 | our probes would fill its log |
///
/// `--shutdown-timeout` (0.18) is left alone: draining comes before SIGTERM, so what is in flight then has had its time,
/// and with it an idle server takes the whole timeout to end.
///
/// A flag that a version does not know ends it at once with a usage error, so an unknown version gets none of them.
/// What the user wrote in `args` wins.
public struct LaunchCommand: Sendable, Hashable {
    /// How the server is reached.
    public enum Binding: Sendable, Hashable {
        /// A Unix socket's path.
        case unix(path: String)
        /// A port of 127.0.0.1.
        case tcp(port: UInt16)
    }

    /// The first version with `--uds`.
    public static let udsSince = EngineVersion(0, 11)
    /// The first version with `--disable-access-log-for-endpoints`.
    public static let quietProbesSince = EngineVersion(0, 16)

    /// What is executed.
    public var arguments: [String]

    /// Whether a version can listen on a Unix socket where that is wanted.
    public static func usesUnixSocket(_ launch: LaunchConfiguration, version: EngineVersion?) -> Bool {
        guard launch.transport == .unix, let version else { return false }
        return version >= udsSince
    }

    /// Puts it together.
    ///
    /// - Parameters:
    ///   - launch: The provider's configuration.
    ///   - version: vLLM's version; nil where it is unknown.
    ///   - binding: Where it shall listen.
    ///   - gpus: How many devices it is given.
    public init(_ launch: LaunchConfiguration, version: EngineVersion?, binding: Binding, gpus: Int) {
        arguments = launch.command + [launch.model] + launch.args
        switch binding {
        case .unix(let path): arguments += ["--uds", path]
        case .tcp(let port): arguments += ["--host", "127.0.0.1", "--port", "\(port)"]
        }
        if gpus > 1, !Self.names(launch.args, Self.parallelFlags) {
            arguments += ["--tensor-parallel-size", "\(gpus)"]
        }
        guard let version else { return }
        if version >= Self.quietProbesSince,
            !Self.names(launch.args, ["--disable-access-log-for-endpoints", "--disable-uvicorn-access-log"])
        {
            arguments += ["--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"]
        }
    }

    /// Flags that say how many devices a server uses.
    static let parallelFlags: Set<String> = [
        "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp",
    ]

    /// Whether any argument is one of the flags: `--flag value`, `--flag=value`, `--flag_with_underscores`.
    static func names(_ args: [String], _ flags: Set<String>) -> Bool {
        args.contains { argument in
            guard argument.hasPrefix("-") else { return false }
            let name = argument.prefix { $0 != "=" }
            return flags.contains(String(name.map { $0 == "_" ? "-" : $0 }))
        }
    }

    /// The names after `--served-model-name`: one or several, up to the next flag.
    public static func servedNames(_ args: [String]) -> [String] {
        var found: [String] = []
        for (index, argument) in args.enumerated() where names([argument], ["--served-model-name"]) {
            if let equals = argument.firstIndex(of: "=") {
                found = [String(argument[argument.index(after: equals)...])]
            } else {
                found = Array(args[(index + 1)...].prefix { !$0.hasPrefix("-") })
            }
        }
        return found
    }

    /// `--gpu-memory-utilization` of the arguments, or the default of that version of vLLM: 0.92 as of 0.32, before that
    /// 0.9, which is also taken where the version is not known.
    public static func memoryShare(_ args: [String], version: EngineVersion?) -> Double {
        let usual = version.map { $0 >= EngineVersion(0, 32) ? 0.92 : 0.9 } ?? 0.9
        for (index, argument) in args.enumerated() where names([argument], ["--gpu-memory-utilization"]) {
            if let equals = argument.firstIndex(of: "=") {
                return Double(argument[argument.index(after: equals)...]) ?? usual
            }
            if index + 1 < args.count { return Double(args[index + 1]) ?? usual }
        }
        return usual
    }
}
