/// A GPU in ``StatusReport``.
public struct GPUStatus: Sendable, Hashable, Codable {
    /// Its index in the order of the bus.
    public var index: Int
    /// Its UUID, `GPU-…`.
    public var uuid: String
    /// Its name.
    public var name: String
    /// All of its memory in bytes.
    public var memoryTotalBytes: UInt64
    /// What is not free, in bytes.
    public var memoryUsedBytes: UInt64
    /// What processes of Stoker's engines hold, in bytes.
    public var memoryOwnBytes: UInt64
    /// What other processes of this machine hold, in bytes.
    public var memoryForeignBytes: UInt64
    /// How busy it was in its last sample period, 0 to 1; nil where that is not known.
    public var utilization: Double?

    /// A GPU's status.
    public init(
        index: Int, uuid: String, name: String, memoryTotalBytes: UInt64, memoryUsedBytes: UInt64,
        memoryOwnBytes: UInt64, memoryForeignBytes: UInt64, utilization: Double?
    ) {
        self.index = index
        self.uuid = uuid
        self.name = name
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryUsedBytes = memoryUsedBytes
        self.memoryOwnBytes = memoryOwnBytes
        self.memoryForeignBytes = memoryForeignBytes
        self.utilization = utilization
    }

    private enum CodingKeys: String, CodingKey {
        case index, uuid, name, utilization
        case memoryTotalBytes = "memory_total_bytes"
        case memoryUsedBytes = "memory_used_bytes"
        case memoryOwnBytes = "memory_own_bytes"
        case memoryForeignBytes = "memory_foreign_bytes"
    }

    /// Every key is always there: a use that is not known is null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(index, forKey: .index)
        try container.encode(uuid, forKey: .uuid)
        try container.encode(name, forKey: .name)
        try container.encode(memoryTotalBytes, forKey: .memoryTotalBytes)
        try container.encode(memoryUsedBytes, forKey: .memoryUsedBytes)
        try container.encode(memoryOwnBytes, forKey: .memoryOwnBytes)
        try container.encode(memoryForeignBytes, forKey: .memoryForeignBytes)
        try container.encode(utilization, forKey: .utilization)
    }
}
