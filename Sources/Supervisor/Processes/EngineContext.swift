import Fleet
import Glibc
import Logging

/// What every engine process shares with its spawner.
struct EngineContext: Sendable {
    let directories: Directories
    let files: InstanceFiles
    let logs: RunLogs
    let ports: PortAllocator
    let gpus: GPUAllocator
    let inventory: any GPUInventory
    /// The daemon's PATH, for tools.
    let path: String?
    let sink: any LogSink
    let logger: Logger

    /// Whether a path is a socket that this daemon would have given to an engine.
    func ownsSocket(_ path: String) -> Bool {
        path.hasPrefix("\(directories.instanceSockets)/") && path.hasSuffix(".sock") && !path.contains("/..")
    }

    /// Removes what a dead run has left behind: its socket and its segments of shared memory, no others.
    func clean(_ file: InstanceFile) {
        if case .unix(let path)? = file.endpoint?.address, ownsSocket(path) { unlink(path) }
        guard !file.sharedMemory.isEmpty else { return }
        let logger = logger
        Bounded.wait(.seconds(5)) {
            let removed = SharedMemory.remove(Set(file.sharedMemory))
            guard !removed.isEmpty else { return }
            logger.info(
                "removed shared memory that a dead server left",
                metadata: ["instance": "\(file.instance)", "segments": "\(removed.joined(separator: " "))"])
        }
    }
}
