extension ConfigurationReading {
    /// One provider's claim on a GPU that it lists.
    private struct Share {
        var provider: String
        var replicas: Int
        /// Its `--gpu-memory-utilization`.
        var utilization: Double?
        /// Whether it names its KV cache in bytes instead.
        var hasCacheBytes: Bool
        var place: SourcePlace
    }

    /// Where several instances list one GPU, each names its share, and the shares are at most the whole.
    ///
    /// An index and a UUID of the same GPU cannot be told to be the same here; the preflight, which asks NVML, can.
    mutating func checkGPUs(_ configuration: Configuration) {
        var shares: [String: [Share]] = [:]
        for provider in configuration.providers {
            guard case .launched(let launch) = provider.source, case .devices(let devices) = launch.gpus else {
                continue
            }
            let path = "providers.\(provider.name)"
            guard let place = settings["\(path).gpus"]?.place else { continue }
            let utilization = Self.option("--gpu-memory-utilization", in: launch.args)
            if let utilization, Double(utilization).map({ $0 > 0 && $0 <= 1 }) != true {
                error(
                    "--gpu-memory-utilization is a number above 0 and at most 1",
                    at: settings["\(path).args"]?.place ?? place)
                continue
            }
            let share = Share(
                provider: provider.name, replicas: launch.replicas, utilization: utilization.flatMap { Double($0) },
                hasCacheBytes: Self.option("--kv-cache-memory-bytes", in: launch.args) != nil
                    || Self.option("--kv-cache-memory", in: launch.args) != nil,
                place: place)
            for device in devices { shares[device, default: []].append(share) }
        }
        for (device, claims) in shares.sorted(by: { $0.key < $1.key }) { check(claims, of: device) }
    }

    private mutating func check(_ claims: [Share], of device: String) {
        guard claims.reduce(0, { $0 + $1.replicas }) > 1 else { return }
        let names = claims.map(\.provider).joined(separator: ", ")
        let silent = claims.filter { $0.utilization == nil && !$0.hasCacheBytes }
        for claim in silent {
            error(
                "GPU \(device) is listed for several instances (\(names)): then each names its share in args, "
                    + "--gpu-memory-utilization or --kv-cache-memory-bytes",
                at: claim.place)
        }
        let sum = claims.reduce(0.0) { $0 + ($1.utilization ?? 0) * Double($1.replicas) }
        if silent.isEmpty, sum > 1.000_001, let last = claims.map(\.place).max() {
            let percent = Int((sum * 100 - 0.000_1).rounded(.up))
            error(
                "the shares of GPU \(device) (\(names)) are \(percent) % together: --gpu-memory-utilization is at most 1 "
                    + "in sum",
                at: last)
        }
    }
}
