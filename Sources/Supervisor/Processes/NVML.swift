import CLinux
import Synchronization

/// GPUs by NVML, opened at run time: without the library, or without a driver, there are simply none.
public final class NVML: GPUInventory {
    /// The library's name on every machine with NVIDIA's driver.
    public static let library = "libnvidia-ml.so.1"

    /// NVML's own calls may come from several instances' queues at once; one at a time is enough.
    private let turn = Mutex(())

    /// Opens the library; nil where there is none or it does not work. Once a process.
    public init?(library: String = NVML.library) {
        guard stoker_nvml_open(library) == 0 else { return nil }
    }

    /// The machine's inventory: NVML where it works, else none.
    public static func ofThisMachine() -> any GPUInventory { NVML() ?? NoGPUs() }

    /// Every GPU, in the order of the bus.
    public func devices() -> [GPU] {
        turn.withLock { _ in
            (0..<max(0, stoker_nvml_count())).compactMap { index in
                var uuid = [CChar](repeating: 0, count: 96)
                var name = [CChar](repeating: 0, count: 96)
                var total: UInt64 = 0
                guard stoker_nvml_device(index, &uuid, &name, &total) == 0 else { return nil }
                return GPU(index: Int(index), uuid: Self.text(uuid), name: Self.text(name), memoryBytes: total)
            }
        }
    }

    /// A GPU's memory and who holds it.
    public func memory(of uuid: String) -> GPUMemory? {
        turn.withLock { _ in
            var memory = GPUMemory(free: 0, total: 0)
            guard stoker_nvml_memory(uuid, &memory.free, &memory.total) == 0 else { return nil }
            var pids = [Int32](repeating: 0, count: 64)
            var bytes = [UInt64](repeating: 0, count: 64)
            let count = stoker_nvml_processes(uuid, &pids, &bytes, 64)
            for index in 0..<Int(max(0, count)) { memory.holders[pids[index], default: 0] += bytes[index] }
            return memory
        }
    }

    /// How busy a GPU was.
    public func utilization(of uuid: String) -> Double? {
        let percent = turn.withLock { _ in stoker_nvml_utilization(uuid) }
        return percent < 0 ? nil : Double(percent) / 100
    }

    private static func text(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
