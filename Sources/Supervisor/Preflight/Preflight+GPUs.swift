import Fleet
import Glibc

extension Preflight {
    func checkSharedMemory(_ report: inout Report) {
        var status = statvfs()
        guard statvfs(sharedMemory, &status) == 0 else {
            report.findings.append(
                .init(
                    .error, "providers", "\(sharedMemory) is not there: vLLM's processes talk through it; mount a tmpfs"
                ))
            return
        }
        let free = (UInt64(status.f_bavail) * UInt64(status.f_frsize)) >> 20
        let wanted: UInt64 = 512
        if free < wanted {
            report.findings.append(
                .init(
                    .warning, "providers",
                    "\(sharedMemory) has \(free) MiB free and vLLM's processes talk through it (\(wanted) MiB are "
                        + "comfortable): in a container, give --shm-size=2g or --ipc=host"))
        }
    }

    /// GPUs: whether there are as many, and whether what is asked of each fits it.
    func checkGPUs(
        _ launches: [Launch], _ folders: [String: ModelFolder], _ report: inout Report, isRunning: Bool
    ) {
        let inventory = inventory ?? NVML.ofThisMachine()
        let devices = inventory.devices()
        let listed = SystemFile.names(in: gpuList).count
        guard !devices.isEmpty || listed == 0 else {
            report.add(
                .error, "providers",
                "the driver lists \(listed) GPUs and \(NVML.library) does not answer, by which they are given out: install the "
                    + "driver's libraries; in a container, give NVIDIA_DRIVER_CAPABILITIES=compute,utility")
            return
        }
        for device in devices {
            report.facts.append("GPU \(device.index): \(device.name), \(MemoryNeed.text(device.memoryBytes))")
        }
        if checkCounts(launches, devices, &report) { return }
        var allotment = GPUAllotment(devices: devices)
        var claims: [GPU: UInt64] = [:]
        var holders: [GPU: [String]] = [:]
        for provider in launches {
            for (number, instance) in provider.instances.enumerated() {
                switch allotment.allot(provider.launch.gpus, to: instance) {
                case .failure(.impossible(let why)), .failure(.taken(let why)):
                    report.add(.error, "\(provider.path).gpus", "\(instance) gets none: \(why)")
                case .success(let grant):
                    guard !grant.devices.isEmpty else { continue }
                    let need = MemoryNeed(
                        args: provider.launch.args, folder: folders[provider.name], gpus: grant.devices.count)
                    for device in grant.devices {
                        claims[device, default: 0] += need.claim(of: device.memoryBytes)
                        holders[device, default: []].append(provider.path)
                    }
                    // The replicas are alike: once is enough.
                    guard number == 0, let tightest = grant.devices.min(by: { $0.memoryBytes < $1.memoryBytes }) else {
                        continue
                    }
                    if let (severity, message) = need.objection(
                        gpu: "GPU \(tightest.index)", total: tightest.memoryBytes)
                    {
                        report.add(severity, "\(provider.path).model", message)
                    }
                }
            }
        }
        // A daemon that runs holds the memory for the same engines.
        if !isRunning { checkFree(claims, holders, inventory, &report) }
    }

    /// Whether more is asked for than there is; true where it is, and there is nothing more to say.
    private func checkCounts(_ launches: [Launch], _ devices: [GPU], _ report: inout Report) -> Bool {
        var counted = 0
        var isOver = false
        for provider in launches {
            switch provider.launch.gpus {
            case .automatic: counted += devices.isEmpty ? 0 : provider.launch.replicas
            case .count(let count): counted += count * provider.launch.replicas
            case .devices(let names):
                if !names.isEmpty, devices.isEmpty {
                    report.add(
                        .error, "\(provider.path).gpus",
                        "this machine shows no NVIDIA GPU: gpus: 0 is for the CPU ('nvidia-smi' tells what the driver sees)"
                    )
                    isOver = true
                }
            }
        }
        guard counted > devices.count else { return isOver }
        report.add(
            .error, "providers",
            "\(counted) GPUs are asked for and this machine shows \(devices.count): fewer replicas or gpus, or gpus: 0 for "
                + "the CPU")
        return true
    }

    /// Whether the memory that will be asked for is free now: the daemon waits for it, so it is no error.
    private func checkFree(
        _ claims: [GPU: UInt64], _ holders: [GPU: [String]], _ inventory: any GPUInventory, _ report: inout Report
    ) {
        for (device, claim) in claims.sorted(by: { $0.key.index < $1.key.index }) {
            guard let memory = inventory.memory(of: device.uuid), memory.free < claim else { continue }
            let others = memory.holders.sorted { ($0.value, $0.key) > ($1.value, $1.key) }.prefix(3).map { pid, bytes in
                let command = (SystemFile.text("/proc/\(pid)/comm", limit: 64) ?? "").prefix { $0 != "\n" }
                return "pid \(pid)\(command.isEmpty ? "" : " (\(command))") holds \(MemoryNeed.text(bytes))"
            }
            report.add(
                .warning, "\(holders[device]?.first ?? "providers").gpus",
                "GPU \(device.index) has \(MemoryNeed.text(memory.free)) of \(MemoryNeed.text(memory.total)) free and "
                    + "\(MemoryNeed.text(claim)) will be asked for"
                    + (others.isEmpty ? "" : " (\(others.joined(separator: ", ")))")
                    + ": the start waits until that is free; end who holds it, or give a smaller --gpu-memory-utilization"
            )
        }
    }
}
