/// A graphics processor.
public struct GPU: Sendable, Hashable {
    /// Its index in the order of the bus, which is `CUDA_DEVICE_ORDER=PCI_BUS_ID`'s.
    public var index: Int
    /// Its UUID, `GPU-…`.
    public var uuid: String
    /// Its name.
    public var name: String
    /// All of its memory in bytes.
    public var memoryBytes: UInt64

    /// A processor.
    public init(index: Int, uuid: String, name: String, memoryBytes: UInt64) {
        self.index = index
        self.uuid = uuid
        self.name = name
        self.memoryBytes = memoryBytes
    }
}

/// A processor's memory at one time.
public struct GPUMemory: Sendable, Hashable {
    /// Free bytes.
    public var free: UInt64
    /// All bytes.
    public var total: UInt64
    /// The processes that use it, with what they hold in bytes.
    public var holders: [Int32: UInt64]

    /// A state of memory.
    public init(free: UInt64, total: UInt64, holders: [Int32: UInt64] = [:]) {
        self.free = free
        self.total = total
        self.holders = holders
    }
}

/// Which processors there are. One real implementation (NVML, opened at run time), one without any, fakes in the tests.
/// Calls may block for some milliseconds and are never made from an actor.
public protocol GPUInventory: Sendable {
    /// Every processor, in the order of the bus.
    func devices() -> [GPU]
    /// A processor's memory; nil where it cannot be told.
    func memory(of uuid: String) -> GPUMemory?
    /// How busy a processor was in its last sample period, 0 to 1; nil where it cannot be told.
    func utilization(of uuid: String) -> Double?
}

/// A machine without processors, or without NVML.
public struct NoGPUs: GPUInventory {
    /// Nothing.
    public init() {}

    /// None.
    public func devices() -> [GPU] { [] }

    /// Nothing is known.
    public func memory(of uuid: String) -> GPUMemory? { nil }

    /// Nothing is known.
    public func utilization(of uuid: String) -> Double? { nil }
}
