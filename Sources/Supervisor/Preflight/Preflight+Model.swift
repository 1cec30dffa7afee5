import Fleet
import Glibc

extension Preflight {
    func checkCommand(_ provider: Launch, _ report: inout Report) {
        let (launch, path) = (provider.launch, provider.path)
        guard let word = launch.command.first else { return }
        let search = launch.env["PATH"]?.reveal() ?? environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        guard let file = EngineInterpreter.resolve(word, path: search) else {
            let isThere = word.contains("/") && access(word, F_OK) == 0
            report.findings.append(
                .init(
                    .error, "\(path).command",
                    isThere
                        ? "\(word) is there and may not be executed: 'chmod +x' it, or name another"
                        : "\(word) is not found\(word.contains("/") ? "" : " on the PATH (\(search))"): install vLLM "
                            + "there ('pip install vllm'), or name the command with its whole path, such as "
                            + "command: [/opt/vllm/bin/vllm, serve]"))
            return
        }
        if let reader, let obstacle = reader.obstacle(to: file) {
            report.add(
                .error, "\(path).command",
                "\(file) cannot be read by \(reader.name), whom the unit runs as (\(obstacle) is in the way): install vLLM "
                    + "where that user may look, such as /opt/vllm, or let it in ('chmod o+x \(obstacle)')")
        }
        guard launch.command.dropFirst().first == "serve" || word.hasSuffix("vllm") else {
            report.facts.append("\(path): runs \(file)")
            return
        }
        let environment = environment.merging(["PATH": search]) { $1 }
        if let version = EngineVersions().version(of: launch.command, environment: environment) {
            report.facts.append("\(path): runs \(file), vLLM \(version)")
        } else {
            report.findings.append(
                .init(
                    .warning, "\(path).command",
                    "the version of \(file) is not known (no vllm metadata beside its interpreter): it is launched over "
                        + "TCP and without optional flags"))
        }
    }

    /// Looks for the model where the engine will; its folder where it is on this machine.
    func checkModel(_ provider: Launch, _ report: inout Report) -> ModelFolder? {
        let model = provider.launch.model
        // What is fetched from elsewhere by the engine's own means: s3://, gs://.
        guard !model.contains("://") else { return nil }
        if ["/", "./", "../"].contains(where: model.hasPrefix) { return checkLocal(provider, &report) }
        let args = provider.launch.args
        let engine = EngineEnvironment.make(inherited: environment, provider: provider.launch.env, devices: nil)
        guard !["1", "true"].contains(engine["VLLM_USE_MODELSCOPE"]?.lowercased() ?? "") else { return nil }
        let cache = HubCache(environment: engine, downloads: MemoryNeed.value(args, ["--download-dir"]))
        // `name:Q4_K_M` is one of several files of quantized weights.
        let name = String(model.prefix { $0 != ":" })
        let path = "\(provider.path).model"
        switch cache.find(name, revision: MemoryNeed.value(args, ["--revision"])) {
        case .nothing where cache.isOffline:
            report.add(
                .warning, path,
                "\(name) is not in \(cache.folder) and HF_HUB_OFFLINE keeps it from being fetched: fetch it "
                    + "('hf download \(name)' with the same HF_HOME), or leave HF_HUB_OFFLINE out")
        case .nothing where !cache.hasToken:
            report.add(
                .warning, path,
                "\(name) is not in \(cache.folder) yet and no token is given: it is fetched at the first start, which fails "
                    + "if the model is gated; then set HF_TOKEN in env, or fetch it first ('hf download \(name)')")
        case .nothing:
            report.facts.append("\(provider.path): \(name) is not in \(cache.folder) yet: the first start fetches it")
        case .snapshot(let snapshot):
            let folder = ModelFolder.read(snapshot)
            if folder.weightFiles == 0 || !folder.missing.isEmpty || !folder.hasConfiguration {
                if cache.isOffline {
                    report.add(
                        .warning, path,
                        "\(snapshot) is not whole and HF_HUB_OFFLINE keeps the rest from being fetched: fetch it "
                            + "('hf download \(name)' with the same HF_HOME), or leave HF_HUB_OFFLINE out")
                } else {
                    report.facts.append(
                        "\(provider.path): \(name) is fetched in part: the first start fetches the rest")
                }
                return nil
            }
            report.facts.append("\(provider.path): \(name), \(MemoryNeed.text(folder.weightBytes)) in \(snapshot)")
            return folder
        }
        return nil
    }

    private func checkLocal(_ provider: Launch, _ report: inout Report) -> ModelFolder? {
        let model = provider.launch.model
        let path = "\(provider.path).model"
        guard access(model, F_OK) == 0 else {
            report.add(.error, path, "there is no \(model) (\(Self.reason)): check the path")
            return nil
        }
        if let reader, let obstacle = reader.obstacle(to: model) {
            report.add(
                .error, path,
                "\(model) cannot be read by \(reader.name), whom the unit runs as (\(obstacle) is in the way): let that "
                    + "user or its group read it")
        }
        guard FileSystem.isDirectory(model) else {
            var info = stat()
            guard model.hasSuffix(".gguf"), stat(model, &info) == 0 else {
                report.add(.error, path, "\(model) is neither a model's folder nor a .gguf file: name the folder")
                return nil
            }
            var folder = ModelFolder(path: model)
            (folder.weightFiles, folder.weightBytes) = (1, UInt64(info.st_size))
            return folder
        }
        let folder = ModelFolder.read(model)
        let isDummy = MemoryNeed.value(provider.launch.args, ["--load-format"]) == "dummy"
        if !folder.hasConfiguration {
            report.add(
                .error, path,
                "\(model) has no config.json that can be read: it is no model's folder; name the one that has it")
        } else if let pointer = folder.pointers.first {
            report.add(
                .error, path,
                "\(model)/\(pointer) is a pointer of Git LFS in place of the weights: run 'git lfs pull' in \(model)")
        } else if let missing = folder.missing.first {
            let others = folder.missing.count > 1 ? " and \(folder.missing.count - 1) more" : ""
            report.add(
                .error, path,
                "\(model) is not whole: \(missing)\(others) of its index is not there; fetch or copy it again")
        } else if folder.weightFiles == 0, !isDummy {
            report.add(
                .error, path,
                "\(model) has no weights (*.safetensors, *.bin, *.pt): fetch or copy it again, or give "
                    + "--load-format dummy for a test")
        } else {
            report.facts.append("\(provider.path): \(MemoryNeed.text(folder.weightBytes)) of weights in \(model)")
            return folder
        }
        return nil
    }
}
