/// What ended an engine. The raw value is the `kind` in status, metrics and logs.
public enum FailureKind: String, Sendable, Hashable, CaseIterable {
    /// vLLM does not understand its arguments, or its configuration cannot be.
    case arguments
    /// The model needs a token, or its licence to be accepted.
    case modelGated = "model_gated"
    /// No such model or folder.
    case modelNotFound = "model_not_found"
    /// The hub cannot be reached.
    case hubUnreachable = "hub_unreachable"
    /// Other processes hold the GPU memory that it wants.
    case gpuMemoryTaken = "gpu_memory_taken"
    /// The GPU's memory is too small for what is asked of it.
    case gpuOutOfMemory = "gpu_out_of_memory"
    /// The KV cache is too small for one request of the longest length.
    case kvCacheTooSmall = "kv_cache_too_small"
    /// Another process has its port or socket.
    case portTaken = "port_taken"
    /// `/dev/shm` is full or too small.
    case sharedMemory = "shared_memory"
    /// A disk is full.
    case diskFull = "disk_full"
    /// A Python module or a library is missing.
    case missingModule = "missing_module"
    /// There is no GPU, or no driver that works.
    case noGPU = "no_gpu"
    /// The CPU lacks an instruction.
    case illegalInstruction = "illegal_instruction"
    /// SIGKILL: the out-of-memory killer, or somebody.
    case killed
    /// Any other deadly signal.
    case crashed
    /// The command could not be run.
    case launch
    /// A Python exception.
    case pythonError = "python_error"
    /// The engine's process died, and nothing says why.
    case engineDied = "engine_died"
    /// It exited, and nothing says why.
    case exited

    /// Whether only a start can fail so.
    var isOfStart: Bool {
        switch self {
        case .arguments, .modelGated, .modelNotFound, .hubUnreachable, .gpuMemoryTaken, .kvCacheTooSmall, .portTaken,
            .noGPU:
            return true
        default: return false
        }
    }

    /// Whether every further start fails in the same way until something is corrected.
    public var isPermanent: Bool {
        switch self {
        case .arguments, .modelGated, .modelNotFound: return true
        default: return false
        }
    }
}
