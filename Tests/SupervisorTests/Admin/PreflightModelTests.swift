import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Preflight: models and GPUs")
struct PreflightModelTests {
    /// A machine with GPUs of 80 GiB, some of it taken.
    struct FakeGPUs: GPUInventory {
        var count = 2
        var free: UInt64 = 80 << 30

        func devices() -> [GPU] {
            (0..<count).map { GPU(index: $0, uuid: "GPU-\($0)", name: "Fake", memoryBytes: 80 << 30) }
        }
        func memory(of uuid: String) -> GPUMemory? {
            GPUMemory(free: free, total: 80 << 30, holders: free == 80 << 30 ? [:] : [getpid(): (80 << 30) - free])
        }
        func utilization(of uuid: String) -> Double? { nil }
    }

    /// What is found of a launch in a folder, as `severity path: message`.
    func findings(
        _ directory: TemporaryDirectory, gpus: any GPUInventory = FakeGPUs(), environment: [String: String] = [:],
        _ change: (inout LaunchConfiguration) -> Void
    ) -> [String] {
        var preflight = AdminPreflightTests().preflight(directory) { change(&$1) }
        preflight.inventory = gpus
        preflight.environment["HF_TOKEN"] = nil
        preflight.environment.merge(environment) { $1 }
        return preflight.run().findings.map { "\($0.severity.rawValue) \($0.path): \($0.message)" }
    }

    /// A model's folder whose one weight file has a hole of this size.
    @discardableResult
    func model(_ directory: TemporaryDirectory, _ name: String = "model", gib: Int, type: String = "bfloat16") -> String
    {
        directory.write("\(name)/config.json", #"{"dtype": "\#(type)"}"#)
        let file = directory.write("\(name)/model.safetensors", "")
        truncate(file, off_t(gib) << 30)
        return "\(directory.path)/\(name)"
    }

    @Test("Weights against memory: shares, parallel sizes, types, caches")
    func memory() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let big = model(directory, gib: 140)
        let wide = model(directory, "wide", gib: 140, type: "float32")
        let tight = model(directory, "tight", gib: 70)
        func found(_ model: String, _ gpus: LaunchConfiguration.GPURequest, _ args: String...) -> [String] {
            findings(directory) { launch in
                launch.model = model
                launch.gpus = gpus
                launch.args = args
            }
        }
        let alone = found(big, .count(1))
        #expect(alone.count == 1)
        #expect(alone.first?.hasPrefix("error providers.chat.model: the weights take 140 GiB of each GPU") == true)
        #expect(alone.first?.contains("--gpu-memory-utilization 0.92") == true)
        #expect(found(big, .count(2)).first?.hasPrefix("warning providers.chat.model") == true)
        #expect(found(big, .count(2), "--gpu-memory-utilization=0.8").first?.hasPrefix("error") == true)
        #expect(found(big, .count(2), "--data-parallel-size", "2").first?.hasPrefix("error") == true)
        #expect(found(big, .count(1), "--quantization", "fp8").isEmpty)
        #expect(found(big, .count(1), "--load-format", "dummy").isEmpty)
        #expect(found(big, .count(1), "--cpu-offload-gb", "90").isEmpty)
        #expect(found(wide, .count(1)).first?.hasPrefix("warning") == true)
        #expect(found(wide, .count(1), "--dtype", "float32").first?.hasPrefix("error") == true)
        #expect(found(tight, .count(1), "--kv-cache-memory-bytes", "4G").isEmpty)
        #expect(found(tight, .count(1), "--kv-cache-memory-bytes", "16G").first?.hasPrefix("error") == true)
    }

    @Test("Memory that others hold is a warning that names them")
    func held() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let found = findings(directory, gpus: FakeGPUs(count: 1, free: 40 << 30), environment: ["HF_TOKEN": "t"]) { _ in
        }
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("warning providers.chat.gpus: GPU 0 has 40.0 GiB of 80.0 GiB free") == true)
        #expect(found.first?.contains("pid \(getpid()) (") == true)
        let shared = findings(directory, gpus: FakeGPUs(count: 1, free: 40 << 30), environment: ["HF_TOKEN": "t"]) {
            $0.args = ["--gpu-memory-utilization", "0.4"]
        }
        #expect(shared.isEmpty)
    }

    @Test("GPUs that are not there, or somebody else's")
    func counts() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let many = findings(directory) { ($0.model, $0.gpus) = ("/", .count(3)) }
        #expect(many.contains { $0.hasPrefix("error providers: 3 GPUs are asked for and this machine shows 2") })
        let named = findings(directory) { $0.gpus = .devices(["5"]) }
        #expect(named.contains { $0.hasPrefix("error providers.chat.gpus: chat-0 gets none: there is no GPU 5") })
        directory.write("gpus/0000:01:00.0/information", "")
        let silent = findings(directory, gpus: NoGPUs()) { _ in }
        #expect(silent.contains { $0.contains("libnvidia-ml.so.1 does not answer") })
    }

    @Test("A folder that is no model, or not a whole one")
    func folders() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        func found(_ name: String) -> String {
            findings(directory) { ($0.model, $0.gpus) = ("\(directory.path)/\(name)", .count(0)) }.first ?? "in order"
        }
        directory.write("empty/config.json", "{}")
        #expect(found("empty").contains("has no weights"))
        directory.write("pointer/config.json", "{}")
        directory.write("pointer/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
        #expect(found("pointer").contains("git lfs pull"))
        directory.write("cut/config.json", "{}")
        directory.write("cut/one.safetensors", "x")
        directory.write(
            "cut/model.safetensors.index.json", #"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#)
        #expect(found("cut").contains("two.safetensors of its index is not there"))
        directory.write("cut/two.safetensors", "x")
        #expect(found("cut") == "in order")
        directory.write("text", "x")
        #expect(found("text").contains("neither a model's folder nor a .gguf"))
        directory.write("m.gguf", "x")
        #expect(found("m.gguf") == "in order")
    }

    @Test("A hub's model: in the cache, or not, with and without a token and the network")
    func hub() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        func found(_ environment: [String: String], _ args: String...) -> String {
            findings(directory, environment: environment) { ($0.gpus, $0.args) = (.count(0), args) }.first ?? "in order"
        }
        #expect(found([:]).hasPrefix("warning providers.chat.model: org/model is not in"))
        #expect(found([:]).contains("no token is given"))
        #expect(found(["HF_TOKEN": "t"]) == "in order")
        #expect(
            found(["HF_TOKEN": "t", "HF_HUB_OFFLINE": "yes"]).contains("HF_HUB_OFFLINE keeps it from being fetched"))
        let cache = ".cache/huggingface/hub/models--org--model"
        directory.write("\(cache)/refs/main", "abc")
        directory.write("\(cache)/snapshots/abc/config.json", "{}")
        #expect(found([:]) == "in order")
        #expect(found(["HF_HUB_OFFLINE": "1"]).contains("is not whole"))
        directory.write("\(cache)/snapshots/abc/model.safetensors", "x")
        #expect(found(["HF_HUB_OFFLINE": "1"]) == "in order")
        #expect(found(["HF_HUB_OFFLINE": "1"], "--revision", "v2").contains("is not in"))
        #expect(
            found(["HF_HUB_OFFLINE": "1", "HF_HOME": "\(directory.path)/other"]).contains("\(directory.path)/other/hub")
        )
        #expect(found(["VLLM_USE_MODELSCOPE": "True"]) == "in order")
    }

    @Test("Names of weight files")
    func weights() {
        #expect(ModelFolder.weights(among: ["a.bin", "b.safetensors"]) == ["b.safetensors"])
        #expect(ModelFolder.weights(among: ["consolidated.safetensors", "model.safetensors"]) == ["model.safetensors"])
        #expect(ModelFolder.weights(among: ["consolidated.safetensors"]) == ["consolidated.safetensors"])
        #expect(ModelFolder.weights(among: ["training_args.bin", "x.pt"]) == ["x.pt"])
        #expect(ModelFolder.weights(among: ["README.md"]).isEmpty)
    }

    @Test("Sizes as vLLM takes them")
    func sizes() {
        #expect(MemoryNeed.bytes("8G") == 8 << 30 && MemoryNeed.bytes("1.5k") == 1500 && MemoryNeed.bytes("7") == 7)
        #expect(MemoryNeed.bytes("x") == nil && MemoryNeed.bytes("1Gi") == nil)
        #expect(MemoryNeed.text(512 << 20) == "512 MiB" && MemoryNeed.text(80 << 30) == "80.0 GiB")
    }
}
