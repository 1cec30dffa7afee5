import FoundationEssentials
import Glibc

/// A model's folder, as far as a directory listing and its small files tell: nothing is loaded.
struct ModelFolder: Sendable, Hashable {
    /// Where it is.
    var path: String
    /// Whether a `config.json`, or a `params.json` of Mistral's format, can be read.
    var hasConfiguration = false
    /// Bytes of the weight files that vLLM reads.
    var weightBytes: UInt64 = 0
    /// How many files those are.
    var weightFiles = 0
    /// Files that the index names and that are not there.
    var missing: [String] = []
    /// Weight files that are only Git LFS's pointers to them.
    var pointers: [String] = []
    /// The type that the configuration says the weights are of, such as `bfloat16`; nil where it does not.
    var type: String?

    /// Looks into a folder.
    static func read(_ path: String) -> ModelFolder {
        var folder = ModelFolder(path: path)
        folder.hasConfiguration =
            access("\(path)/config.json", R_OK) == 0 || access("\(path)/params.json", R_OK) == 0
        folder.type = configuredType(path)
        let names = SystemFile.names(in: path).sorted()
        var wanted = weights(among: names)
        if wanted.first?.hasSuffix(".safetensors") == true, let indexed = index(of: path) {
            folder.missing = indexed.subtracting(names).sorted()
            wanted = wanted.filter { indexed.contains($0) }
        }
        for name in wanted {
            guard let size = size(of: "\(path)/\(name)") else {
                // A link of the hub's cache to a blob that is gone.
                folder.missing.append(name)
                continue
            }
            folder.weightFiles += 1
            folder.weightBytes += size
            if size < 1024,
                SystemFile.text("\(path)/\(name)", limit: 1024)?.hasPrefix("version https://git-lfs") == true
            {
                folder.pointers.append(name)
            }
        }
        return folder
    }

    /// The weight files that vLLM reads of a folder: safetensors before the older kinds, and Mistral's consolidated files
    /// only where there are no others.
    static func weights(among names: [String]) -> [String] {
        let tensors = names.filter { $0.hasSuffix(".safetensors") }
        let plain = tensors.filter { !$0.hasPrefix("consolidated") }
        if !plain.isEmpty { return plain }
        if !tensors.isEmpty { return tensors }
        // Beside the weights trainers leave their own state in the same kind of file.
        let aside = ["training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt"]
        for suffix in [".bin", ".pt", ".gguf"] {
            let found = names.filter { $0.hasSuffix(suffix) && !aside.contains($0) }
            if !found.isEmpty { return found }
        }
        return []
    }

    /// The files that an index of safetensors names; nil without one.
    private static func index(of path: String) -> Set<String>? {
        struct Index: Decodable {
            var weightMap: [String: String]

            enum CodingKeys: String, CodingKey {
                case weightMap = "weight_map"
            }
        }
        guard let bytes = SystemFile.bytes("\(path)/model.safetensors.index.json", limit: 64 << 20),
            let index = try? JSONDecoder().decode(Index.self, from: Data(bytes))
        else { return nil }
        return Set(index.weightMap.values)
    }

    private static func configuredType(_ path: String) -> String? {
        struct Types: Decodable {
            var dtype: String?
            var torchType: String?

            enum CodingKeys: String, CodingKey {
                case dtype
                case torchType = "torch_dtype"
            }
        }
        struct Model: Decodable {
            // Of a model that also sees or hears.
            var text: Types?

            enum CodingKeys: String, CodingKey {
                case text = "text_config"
            }
        }
        guard let bytes = SystemFile.bytes("\(path)/config.json", limit: 4 << 20),
            let types = try? JSONDecoder().decode(Types.self, from: Data(bytes))
        else { return nil }
        if let type = types.dtype ?? types.torchType { return type }
        let text = (try? JSONDecoder().decode(Model.self, from: Data(bytes)))?.text
        return text?.dtype ?? text?.torchType
    }

    private static func size(of path: String) -> UInt64? {
        var info = stat()
        return stat(path, &info) == 0 ? UInt64(info.st_size) : nil
    }
}
