/// What a vLLM that starts is doing, read from a line of its log.
///
/// The words are those of vLLM 0.6 to 0.32 (`model_executor/model_loader`, `compilation`, `v1/worker`, `v1/core`).
public enum StartPhase: String, Sendable, Hashable, CaseIterable {
    /// The interpreter imports, arguments are read.
    case starting
    /// The engine's own process is being set up.
    case engine
    /// Weights come from a hub.
    case download
    /// Weights are read.
    case weights
    /// `torch.compile` and kernels.
    case compile
    /// Memory is measured, the KV cache is made.
    case cache = "kv cache"
    /// CUDA graphs are captured.
    case graphs
    /// The HTTP server comes up.
    case server
    /// It listens.
    case listening

    /// Whether weights have been read by then.
    public var isPastWeights: Bool {
        switch self {
        case .starting, .engine, .download, .weights: return false
        case .compile, .cache, .graphs, .server, .listening: return true
        }
    }

    /// The phase that a line announces, nil where it says nothing of that.
    static func announced(by line: String) -> StartPhase? {
        for (phase, words) in announcements where words.contains(where: { line.contains($0) }) { return phase }
        return nil
    }

    /// More telling words first.
    private static let announcements: [(StartPhase, [String])] = [
        (.listening, ["Application startup complete"]),
        (
            .server,
            [
                "Starting vLLM server on", "Starting vLLM API server", "Waiting for application startup",
                "Started server process", "Available routes are",
            ]
        ),
        (.graphs, ["Capturing CUDA graph", "CUDA graphs", "Graph capturing finished", "Profiling CUDA graph memory"]),
        (
            .cache,
            [
                "GPU KV cache size", "CPU KV cache size", "KV cache size:", "Available KV cache memory",
                "Maximum concurrency for", "init engine (profile, create kv cache",
            ]
        ),
        (
            .compile,
            [
                "Compiling a graph", "torch.compile takes", "torch.compile and initial", "Dynamo bytecode transform",
                "for vLLM's torch.compile", "Compile and warming up model", "JIT kernel warmup (", "DeepGEMM warmup",
                "Compiling CuTeDSL kernels", "Compiling FX graph", "Cache the graph",
                "Directly load the compiled graph", "Directly load AOT compilation",
                "Warming up model for the compilation",
            ]
        ),
        (
            .weights,
            [
                "Loading safetensors", "checkpoint shards", "Multi-thread loading", "Starting to load model",
                "Loading weights took", "Model loading took", "Loading drafter model", "Prefetching checkpoint files",
                "Loading model weights",
            ]
        ),
        (.download, ["Downloading", "Fetching ", "Time spent downloading weights"]),
        (
            .engine,
            [
                "Initializing a V1 LLM engine", "Initializing an LLM engine", "world_size=", "DP group leader",
                "Waiting for core engine",
            ]
        ),
        (.starting, ["vLLM API server version", "non-default args", "Resolved architecture", "Using max model len"]),
    ]

    /// The percentage of a progress bar in a line: `43% Completed | 3/7`, `43%|████▎     | 29/67`, `43% (3/7)`.
    static func percent(in line: String) -> Int? {
        let bytes = Array(line.utf8)
        for index in bytes.indices where bytes[index] == UInt8(ascii: "%") {
            var start = index
            while start > 0, index - start < 3, isDigit(bytes[start - 1]) { start -= 1 }
            guard start < index, let value = Int(String(decoding: bytes[start..<index], as: UTF8.self)), value <= 100
            else { continue }
            // "0.5%" and "1000%" are no bars.
            if start > 0, bytes[start - 1] == UInt8(ascii: ".") || isDigit(bytes[start - 1]) { continue }
            let rest = bytes[(index + 1)...].prefix(14)
            let isBar =
                rest.first == UInt8(ascii: "|") || rest.starts(with: " Completed".utf8)
                || rest.starts(with: " (".utf8)
            if isBar { return value }
        }
        return nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
}
