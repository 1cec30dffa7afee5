/// One cause that a log can name: the words that show it, and what to do.
struct FailureRule: Sendable {
    let kind: FailureKind
    /// Any of these: all of its words in one line.
    let patterns: [[String]]
    /// The sentence; nil takes the line's own words.
    let sentence: String?
    let hint: String

    init(_ kind: FailureKind, _ patterns: [[String]], sentence: String?, hint: String) {
        self.kind = kind
        self.patterns = patterns
        self.sentence = sentence
        self.hint = hint
    }

    /// The last line that shows it.
    func place(in lines: [String]) -> Int? {
        lines.lastIndex { line in
            patterns.contains { words in words.allSatisfy { line.contains($0) } }
        }
    }

    /// The sentence for status.
    func detail(of line: String) -> String { sentence ?? String(LogText.message(of: line).prefix(300)) }

    static let sharedMemoryHint =
        "give /dev/shm more room (docker run --shm-size=8g or --ipc=host; a container's default is 64 MiB), "
        + "or remove segments that a crash left there"

    /// In order: a root cause before what follows from it.
    static let ordered: [FailureRule] = [
        FailureRule(
            .modelGated,
            [
                ["gated repo"], ["GatedRepoError"], ["Access to model", "restricted"], ["You must be authenticated"],
                ["Access denied", "requires approval"],
            ],
            sentence: "the model is gated, and its hub was given no token that may read it",
            hint: "accept the model's licence on its page and give the provider's env a HF_TOKEN"),
        FailureRule(
            .modelNotFound,
            [
                ["is not a local folder and is not a valid model identifier"], ["RepositoryNotFoundError"],
                ["Repository Not Found"], ["does not appear to have a file named config.json"],
                ["Repo id must be in the form"], ["Repo id must use alphanumeric"],
                ["Invalid repository ID or local directory specified"], ["RevisionNotFoundError"],
                ["outgoing traffic has been disabled"], ["Cannot find any model weights with"],
                ["is the correct path to a directory containing all relevant files"],
            ],
            sentence: "the model was not found",
            hint: "check the model's name or path, and that the daemon's user can read it; "
                + "a private model needs HF_TOKEN"),
        FailureRule(
            .hubUnreachable,
            [
                ["couldn't connect to 'https://huggingface.co'"], ["Max retries exceeded with url", "huggingface"],
                ["Failed to resolve 'huggingface.co'"], ["Temporary failure in name resolution"],
            ],
            sentence: "the model's hub cannot be reached",
            hint: "check the network, or download the model first and set HF_HUB_OFFLINE=1"),
        FailureRule(
            .arguments,
            [
                ["error: unrecognized arguments"], ["error: argument "], ["error: ambiguous option"],
                ["error: the following arguments are required"], ["error: expected "], ["vllm: error:"],
                ["vllm serve: error:"], ["greater than the derived max_model_len"], ["validation error for"],
                ["validation errors for"], ["Value error, "],
            ],
            sentence: nil,
            hint: "correct the provider's 'args'; this version's own are listed by 'vllm serve --help=all'"),
        FailureRule(
            .gpuMemoryTaken,
            [
                ["Free memory on device", "less than desired"], ["Free memory on device", "is less than"],
                ["Error in memory profiling", "Initial free memory"],
            ],
            sentence: "other processes hold the GPU memory that it wants",
            hint: "see nvidia-smi for the holder; lower --gpu-memory-utilization, or wait until it is free"),
        FailureRule(
            .kvCacheTooSmall,
            [
                ["larger than the available KV cache memory"], ["No available memory for the cache blocks"],
                ["larger than the maximum number of tokens that can be stored in KV cache"],
            ],
            sentence: "the KV cache that fits is too small for max_model_len",
            hint: "lower --max-model-len, raise --gpu-memory-utilization, or use more GPUs"),
        FailureRule(
            .gpuOutOfMemory,
            [
                ["CUDA out of memory"], ["OutOfMemoryError"], ["CUDA error: out of memory"], ["HIP out of memory"],
                ["CUBLAS_STATUS_ALLOC_FAILED"], ["cudaErrorMemoryAllocation"],
            ],
            sentence: "not enough GPU memory",
            hint: "lower --max-model-len, --max-num-seqs or --gpu-memory-utilization, quantize, or use more GPUs"),
        FailureRule(
            .sharedMemory,
            [
                ["/dev/shm", "No space left"], ["insufficient shared memory"], ["Error while creating shared memory"],
                ["shared memory", "No space left on device"], ["unable to open shared memory object", "/torch_"],
            ],
            sentence: "/dev/shm is full or too small",
            hint: sharedMemoryHint),
        FailureRule(
            .diskFull, [["No space left on device"], ["Disk quota exceeded"]],
            sentence: "a disk is full",
            hint: "make room where the model's cache (HF_HOME), TMPDIR or the compile cache is"),
        FailureRule(
            .portTaken, [["Address already in use"], ["address already in use"]],
            sentence: "another process has its port or socket",
            hint: "leave --host, --port and --uds to the daemon; see who listens with 'ss -ltnp'"),
        FailureRule(
            .noGPU,
            [
                ["No CUDA GPUs are available"], ["Found no NVIDIA driver"], ["driver version is insufficient"],
                ["Failed to infer device type"], ["no CUDA-capable device is detected"],
                ["The NVIDIA driver on your system is too old"],
            ],
            sentence: "no usable GPU: none is visible, or the driver does not fit",
            hint: "see nvidia-smi, and CUDA_VISIBLE_DEVICES in the provider's env"),
        FailureRule(
            .illegalInstruction, [["Illegal instruction"], ["exit code -4"], ["exitcode: -4"], ["SIGILL"]],
            sentence: "this CPU lacks an instruction that the build uses",
            hint: "use a build of vLLM or torch for this CPU (x86-64 builds need AVX2 or AVX-512)"),
        FailureRule(
            .sharedMemory, [["Bus error"], ["exitcode: -7"], ["SIGBUS"]],
            sentence: "bus error: most likely /dev/shm is full", hint: sharedMemoryHint),
        FailureRule(
            .killed,
            [["exit code -9"], ["exitcode: -9"], ["exitcode=-9"], ["SIGKILL"], ["oom-kill"], ["Killed process"]],
            sentence: "one of its processes was killed by SIGKILL: the kernel's out-of-memory killer, or somebody",
            hint: "look at the kernel's log for 'Out of memory'; give the machine more memory, or the engine less"),
    ]
}
