/// What the command line and the environment ask for.
struct Options: Sendable {
    var model = ""
    var names: [String] = []
    var uds: String?
    var host = "0.0.0.0"
    var port = 8000
    var shutdownTimeout = 0.0
    var maxModelLength = 4096
    var maxSequences = 256
    var workers = 0
    var version = "0.32.0"
    var task = Task.generate
    var accessLog = true
    var quietEndpoints: Set<String> = []
    var keepAlive = 5.0
    var sseKeepAlive = 0.0
    var keys: [String] = []
    var responsesStore = false
    var surviveEngine = false
    /// Everything after `serve`, as it came.
    var arguments: [String] = []

    /// What kind of model is served.
    enum Task: String, Sendable {
        case generate
        case pooling
        case transcription
        /// Every route at once; no real server is like that.
        case all
    }

    var endpoint: String { uds.map { "unix:\($0)" } ?? "http://\(host):\(port)" }

    /// Flags that older versions do not know, and the version that brought each.
    private static let since: [(flag: String, version: [Int])] = [
        ("--uds", [0, 10, 0]),
        ("--shutdown-timeout", [0, 18, 0]),
        ("--disable-access-log-for-endpoints", [0, 16, 0]),
        ("--sse-keep-alive-interval", [0, 32, 0]),
        ("--max-num-queued-reqs", [0, 32, 0]),
        ("--enable-request-id-headers", [0, 9, 0]),
    ]

    /// Reads `serve`'s arguments; on failure argparse's last line.
    init(serve arguments: [String]) throws(UsageError) {
        self.arguments = arguments
        version = environment("STANDIN_VERSION") ?? version
        task = environment("STANDIN_TASK").flatMap(Task.init) ?? task
        keepAlive = environment("VLLM_HTTP_TIMEOUT_KEEP_ALIVE").flatMap(Double.init) ?? keepAlive
        responsesStore = environment("VLLM_ENABLE_RESPONSES_API_STORE") == "1"
        surviveEngine = environment("VLLM_KEEP_ALIVE_ON_ENGINE_DEATH") == "1"
        if let key = environment("VLLM_API_KEY") { keys.append(key) }

        let numbers = version.split(separator: ".").prefix(3).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        let unknown = arguments.filter { argument in
            let flag = String(argument.prefix { $0 != "=" })
            return Self.since.contains { $0.flag == flag && numbers.lexicographicallyPrecedes($0.version) }
        }
        guard unknown.isEmpty, !arguments.contains("--no-such-flag") else {
            let named = unknown.isEmpty ? ["--no-such-flag"] : Self.withValues(unknown, in: arguments)
            throw UsageError(message: "unrecognized arguments: \(named.joined(separator: " "))")
        }

        var index = 0
        func value(_ inline: String?) throws(UsageError) -> String {
            if let inline { return inline }
            guard index + 1 < arguments.count else {
                throw UsageError(message: "argument \(arguments[index]): expected one argument")
            }
            index += 1
            return arguments[index]
        }
        while index < arguments.count {
            let argument = arguments[index]
            guard argument.hasPrefix("--") else {
                if model.isEmpty { model = argument }
                index += 1
                continue
            }
            let flag = String(argument.prefix { $0 != "=" })
            let inline = flag.count < argument.count ? String(argument.dropFirst(flag.count + 1)) : nil
            switch flag {
            case "--model": model = try value(inline)
            case "--uds": uds = try value(inline)
            case "--host": host = try value(inline)
            case "--port": port = try Self.number(try value(inline), for: flag)
            case "--shutdown-timeout": shutdownTimeout = Double(try Self.number(try value(inline), for: flag))
            case "--max-model-len": maxModelLength = try Self.number(try value(inline), for: flag)
            case "--max-num-seqs": maxSequences = try Self.number(try value(inline), for: flag)
            case "--sse-keep-alive-interval": sseKeepAlive = Double(try value(inline)) ?? 0
            case "--tensor-parallel-size":
                let size: Int = try Self.number(try value(inline), for: flag)
                workers = size > 1 ? size : 0
            case "--runner": if try value(inline) == "pooling" { task = .pooling }
            case "--api-key": keys.append(try value(inline))
            case "--disable-uvicorn-access-log": accessLog = false
            case "--disable-access-log-for-endpoints":
                quietEndpoints = Set(try value(inline).split(separator: ",").map(String.init))
            case "--served-model-name":
                if let inline { names.append(inline) }
                while index + 1 < arguments.count, !arguments[index + 1].hasPrefix("--") {
                    index += 1
                    names.append(arguments[index])
                }
            default:
                // Any other flag of vLLM's: its value, if it has one, is the next word that is no flag.
                if inline == nil, !model.isEmpty, index + 1 < arguments.count, !arguments[index + 1].hasPrefix("--") {
                    index += 1
                }
            }
            index += 1
        }
        if model.isEmpty { model = "Qwen/Qwen3-0.6B" }
        if names.isEmpty { names = [model] }
        workers = environment("STANDIN_WORKERS").flatMap(Int.init) ?? workers
    }

    private static func number(_ text: String, for flag: String) throws(UsageError) -> Int {
        guard let value = Int(text) else {
            throw UsageError(message: "argument \(flag): invalid int value: '\(text)'")
        }
        return value
    }

    /// The given flags, each with the value that follows it, as argparse lists what it does not know.
    private static func withValues(_ flags: [String], in arguments: [String]) -> [String] {
        var out: [String] = []
        for (index, argument) in arguments.enumerated() where flags.contains(argument) {
            out.append(argument)
            if index + 1 < arguments.count, !arguments[index + 1].hasPrefix("--") { out.append(arguments[index + 1]) }
        }
        return out
    }
}

/// A command line that argparse would refuse.
struct UsageError: Error {
    let message: String
}
