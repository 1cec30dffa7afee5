import Fleet

/// What a launched server will want of each of its GPUs: pure, from its arguments and the size of its weights.
///
/// An estimate with a bias: only what is certain not to fit is called so. Left out are activations, graphs and CUDA's own
/// context, some gigabytes that vLLM measures when it starts.
struct MemoryNeed: Sendable, Hashable {
    /// The least that the weights take of each GPU, in bytes; nil where that cannot be told.
    var weights: UInt64?
    /// The share of each GPU that vLLM takes for itself, weights and cache: `--gpu-memory-utilization`.
    var share: Double
    /// Bytes of the cache where they are given instead of a share.
    var cache: UInt64?

    /// vLLM 0.32's own share; older versions took 0.9.
    static let usualShare = 0.92

    /// - Parameters:
    ///   - args: The provider's `args`.
    ///   - folder: The model's folder, where it is known.
    ///   - gpus: How many GPUs a replica has.
    init(args: [String], folder: ModelFolder?, gpus: Int) {
        share = Self.value(args, ["--gpu-memory-utilization"]).flatMap { Double($0) } ?? Self.usualShare
        cache = Self.value(args, ["--kv-cache-memory-bytes", "--kv-cache-memory"]).flatMap(Self.bytes)
        // Shrunk while it is loaded, by how much is not for us to know; or no weights at all.
        guard let folder, folder.weightBytes > 0, Self.value(args, ["--quantization", "-q"]) == nil,
            Self.value(args, ["--load-format"]) != "dummy"
        else { return }
        var bytes = folder.weightBytes
        // Weights of 32 bits are loaded as 16 unless that is forbidden.
        let wanted = Self.value(args, ["--dtype"]) ?? "auto"
        if folder.type == "float32", wanted != "float32", wanted != "float" { bytes /= 2 }
        bytes /= UInt64(Self.parts(args, gpus: gpus))
        let offloaded = Self.value(args, ["--cpu-offload-gb"]).flatMap { Double($0) } ?? 0
        let spared = UInt64(max(0, min(offloaded, 1e6)) * 1_073_741_824)
        weights = bytes > spared ? bytes - spared : 0
    }

    /// Into how many parts the weights are cut: tensors and layers are shared out, data parallel copies are whole.
    static func parts(_ args: [String], gpus: Int) -> Int {
        let tensor = value(args, ["--tensor-parallel-size", "-tp"]).flatMap { Int($0) }
        let pipeline = value(args, ["--pipeline-parallel-size", "-pp"]).flatMap { Int($0) }
        let data = value(args, ["--data-parallel-size", "-dp"])
        if tensor == nil, pipeline == nil, data == nil { return max(1, gpus) }
        return max(1, min(1 << 16, (tensor ?? 1)) * min(1 << 16, (pipeline ?? 1)))
    }

    /// What it takes of a GPU of this size, in bytes.
    func claim(of total: UInt64) -> UInt64 {
        if let cache { return (weights ?? 0) + cache }
        return UInt64(Double(total) * min(max(share, 0), 1))
    }

    /// What a GPU of this size has against it; nil where nothing.
    ///
    /// - Parameter gpu: How the GPU is called in the sentence.
    func objection(gpu: String, total: UInt64) -> (severity: PreflightFinding.Severity, message: String)? {
        let room = cache == nil ? claim(of: total) : total
        guard let weights else { return nil }
        let needed = weights + (cache ?? 0)
        let what =
            "the weights take \(Self.text(weights)) of each GPU"
            + (cache.map { " and the cache \(Self.text($0))" } ?? "")
        let given =
            cache == nil
            ? "vLLM may use \(Self.text(room)) of \(gpu) (\(Self.text(total)), --gpu-memory-utilization \(share))"
            : "\(gpu) has \(Self.text(total))"
        if needed > room {
            return (
                .error,
                "\(what) and \(given): give it more gpus, a smaller or a quantized model, or --cpu-offload-gb"
            )
        }
        if cache == nil, Double(needed) > 0.9 * Double(room) {
            return (
                .warning,
                "\(what) and \(given): what is left may not hold the cache of one request; give it more gpus, or a "
                    + "smaller --max-model-len"
            )
        }
        return nil
    }

    /// A size as people read it.
    static func text(_ bytes: UInt64) -> String {
        if bytes < 1 << 30 { return "\(bytes >> 20) MiB" }
        let tenths = (Double(bytes) / Double(1 << 30) * 10).rounded() / 10
        return tenths >= 100 ? "\(Int(tenths.rounded())) GiB" : "\(tenths) GiB"
    }

    /// The last value of an option, as `--name value` or `--name=value`, underscores as hyphens.
    static func value(_ args: [String], _ names: Set<String>) -> String? {
        var found: String?
        for (index, argument) in args.enumerated() where LaunchCommand.names([argument], names) {
            if let equals = argument.firstIndex(of: "=") {
                found = String(argument[argument.index(after: equals)...])
            } else if index + 1 < args.count {
                found = args[index + 1]
            }
        }
        return found
    }

    /// A number of bytes as vLLM takes it: plain, or with a suffix (`8g` of tens, `8G` of twos).
    static func bytes(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        guard let number = Double(digits), number >= 0, number < 1e15 else { return nil }
        let factors: [String: Double] = [
            "": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "K": 1024, "M": 1_048_576, "G": 1_073_741_824,
            "T": 1_099_511_627_776,
        ]
        return factors[String(text.dropFirst(digits.count))].map { UInt64(number * $0) }
    }
}
