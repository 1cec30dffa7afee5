/// What a processor holds and does at one time, with whose memory it is.
public struct GPUReading: Sendable, Hashable {
    /// The processor.
    public var gpu: GPU
    /// Free bytes.
    public var free: UInt64
    /// Bytes that processes of Stoker's engines hold.
    public var own: UInt64
    /// Bytes that other processes of this machine hold.
    public var foreign: UInt64
    /// How busy it was, 0 to 1; nil where that is not known.
    public var utilization: Double?

    /// All bytes that are not free. More than `own` and `foreign` together: the driver has its own, and in a container
    /// processes of others cannot be told apart.
    public var used: UInt64 { gpu.memoryBytes > free ? gpu.memoryBytes - free : 0 }

    /// A reading by what the inventory says.
    ///
    /// - Parameters:
    ///   - sessions: The sessions of Stoker's engines: their heads' pids.
    ///   - session: A process's session; nil where the process cannot be seen.
    init(
        _ gpu: GPU, _ memory: GPUMemory, utilization: Double?, sessions: Set<Int32>, session: (Int32) -> Int32?
    ) {
        self.gpu = gpu
        self.utilization = utilization
        free = memory.free
        own = 0
        foreign = 0
        for (pid, bytes) in memory.holders {
            guard let leader = session(pid) else { continue }
            if sessions.contains(leader) { own += bytes } else { foreign += bytes }
        }
    }
}

extension EngineSpawner {
    /// What each processor holds and does now; none where there are none.
    ///
    /// - Parameter heads: The pids of the engines' heads, each of which leads its engine's session.
    func readGPUs(heads: Set<Int32>) async -> [GPUReading] {
        let inventory = setup.gpus
        return await blocking("gpus") {
            inventory.devices().compactMap { gpu in
                inventory.memory(of: gpu.uuid).map {
                    GPUReading(gpu, $0, utilization: inventory.utilization(of: gpu.uuid), sessions: heads) {
                        ProcessTable.entry($0)?.session
                    }
                }
            }
        }
    }
}
