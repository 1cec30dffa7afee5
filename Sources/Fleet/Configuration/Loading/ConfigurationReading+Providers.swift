extension ConfigurationReading {
    private static let launchedOnly = ConfigurationReference.launchKeys.map { String($0.path.dropFirst(12)) }
    private static let attachedOnly = ["base_url", "api_key", "api_key_file", "ca_file"]

    /// One provider; nil where it cannot be told whether it is launched or attached.
    mutating func provider(_ name: String, mode: Configuration.Mode) -> ProviderConfiguration? {
        let prefix = "providers.\(name)"
        let place = providers[name] ?? .environment(prefix)
        _ = scalar("\(prefix).type") { text throws(ConfigurationValueError) in
            guard text == "vllm" else { throw ConfigurationValueError("expected vllm, the one type there is") }
            return text
        }
        let models = modelIds("\(prefix).models")
        let allowed = passthroughRoutes("\(prefix).passthrough_allow")
        let model = settings["\(prefix).model"]
        let url = settings["\(prefix).base_url"]
        let source: ProviderConfiguration.Source
        switch (model, url) {
        case (let model?, let url?):
            error(
                "both model and base_url are given: a provider with model is launched, one with base_url is attached",
                at: max(model.place, url.place))
            return nil
        case (nil, nil):
            if !unreadable.contains("\(prefix).model"), !unreadable.contains("\(prefix).base_url") {
                error("neither model (to launch a server) nor base_url (to attach to one) is given", at: place)
            }
            return nil
        case (let model?, nil):
            refuse(Self.attachedOnly, of: prefix, because: "is for attached providers (those with base_url)")
            if mode == .attachOnly {
                error("nothing is launched in attach-only mode: give base_url, or leave mode out", at: model.place)
            }
            guard let launch = launch(prefix) else { return nil }
            source = .launched(launch)
        case (nil, .some):
            refuse(Self.launchedOnly, of: prefix, because: "is for launched providers (those with model)")
            guard let attach = attach(prefix, name: name) else { return nil }
            source = .attached(attach)
        }
        return ProviderConfiguration(name: name, source: source, models: models, passthroughAllow: allowed)
    }

    private mutating func refuse(_ keys: [String], of prefix: String, because reason: String) {
        for (path, setting) in settings where path.hasPrefix("\(prefix).") {
            let key = String(path.dropFirst(prefix.count + 1))
            if keys.contains(key) { error("\(key) \(reason)", at: setting.place) }
        }
    }

    // MARK: Attached

    private mutating func attach(_ prefix: String, name: String) -> AttachConfiguration? {
        let key = secret("\(prefix).api_key", credential: "\(name)_api_key")
        let caFile = path("\(prefix).ca_file")
        let url = scalar("\(prefix).base_url") { text throws(ConfigurationValueError) in
            try BaseURL(configuration: text)
        }
        guard let url else { return nil }
        if let place = settings["\(prefix).ca_file"]?.place, !url.isTLS {
            error("ca_file is for https, the base URL is not", at: place)
        }
        return AttachConfiguration(baseURL: url, apiKey: key, caFile: caFile)
    }

    // MARK: Launched

    private mutating func launch(_ prefix: String) -> LaunchConfiguration? {
        guard let model = text("\(prefix).model") else { return nil }
        if model.hasPrefix("-"), let place = settings["\(prefix).model"]?.place {
            error("a model's name does not begin with a hyphen", at: place)
        }
        var launch = LaunchConfiguration(model: model)
        integer("\(prefix).replicas", to: &launch.replicas)
        gpus("\(prefix).gpus", to: &launch.gpus)
        if let args = arguments("\(prefix).args") {
            launch.args = args
            checkArguments("\(prefix).args")
        }
        launch.env = environment("\(prefix).env", gpus: launch.gpus)
        if let command = arguments("\(prefix).command") {
            launch.command = command
            checkCommand("\(prefix).command")
        }
        choice("\(prefix).transport", to: &launch.transport)
        apply("\(prefix).restart.backoff", to: &launch.restart) {
            [restart = launch.restart] text throws(ConfigurationValueError) in
            var restart = restart
            (restart.backoffMin, restart.backoffMax) = try RestartConfiguration.backoff(parsing: text)
            return restart
        }
        apply("\(prefix).restart.budget", to: &launch.restart) {
            [restart = launch.restart] text throws(ConfigurationValueError) in
            var restart = restart
            (restart.budget, restart.budgetWindow) = try RestartConfiguration.budget(parsing: text)
            return restart
        }
        integer("\(prefix).restart.start_budget", to: &launch.restart.startBudget)
        duration("\(prefix).timeouts.start_stall", to: &launch.timeouts.startStall)
        duration("\(prefix).timeouts.start_max", to: &launch.timeouts.startMax)
        duration("\(prefix).timeouts.drain", to: &launch.timeouts.drain)
        duration("\(prefix).timeouts.stop", to: &launch.timeouts.stop)
        choice("\(prefix).warmup", to: &launch.warmup)
        return launch
    }

    private mutating func gpus(_ path: String, to target: inout LaunchConfiguration.GPURequest) {
        guard let setting = settings[path] else { return }
        switch setting.value {
        case .scalar:
            apply(path, to: &target) { text throws(ConfigurationValueError) in
                guard let count = Int(text), (0...64).contains(count) else {
                    throw ConfigurationValueError("expected a number of GPUs from 0 to 64, or a list of them")
                }
                return .count(count)
            }
        case .list(let elements):
            guard !elements.isEmpty else {
                error("an empty list; for no GPU write 0", at: setting.place)
                return
            }
            var devices: [String] = []
            for element in elements {
                let device = understand(element) { text throws(ConfigurationValueError) in
                    guard Self.isDevice(text) else {
                        throw ConfigurationValueError("expected a GPU's index, or its UUID (GPU-… or MIG-…)")
                    }
                    return text
                }
                guard let device else { continue }
                if devices.contains(device) {
                    error("GPU \(device) is listed twice", at: element.place)
                } else {
                    devices.append(device)
                }
            }
            target = .devices(devices)
        case .map: break
        }
    }

    private static func isDevice(_ text: String) -> Bool {
        if let index = Int(text), (0...1023).contains(index) { return String(index) == text }
        return (text.hasPrefix("GPU-") || text.hasPrefix("MIG-")) && (5...128).contains(text.utf8.count)
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "/") }
    }

    private mutating func environment(_ path: String, gpus: LaunchConfiguration.GPURequest) -> [String: Secret] {
        guard case .map(let entries)? = settings[path]?.value else { return [:] }
        var environment: [String: Secret] = [:]
        for entry in entries {
            let isName =
                entry.name.first.map { !$0.isNumber } == true
                && entry.name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            if !isName {
                error(
                    "a variable's name has letters, digits and underscores, and does not begin with a digit",
                    at: entry.namePlace)
            } else if entry.value.text.utf8.contains(0) {
                error("has a NUL character, which no variable can hold", at: entry.value.place)
            } else {
                environment[entry.name] = Secret(entry.value.text)
            }
            if entry.name == "CUDA_VISIBLE_DEVICES", gpus != .automatic {
                warning("gpus says which devices the server sees; this is overridden", at: entry.namePlace)
            }
        }
        return environment
    }

    // MARK: Every provider

    private mutating func modelIds(_ path: String) -> [String] {
        var ids: [String] = []
        for element in elements(path) ?? [] {
            let id = understand(element) { text throws(ConfigurationValueError) in
                guard !text.isEmpty, !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
                    throw ConfigurationValueError("expected a model's id such as org/model", showsValue: false)
                }
                return text
            }
            if let id, !ids.contains(id) { ids.append(id) }
        }
        return ids
    }

    private mutating func passthroughRoutes(_ path: String) -> [String] {
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        return (elements(path) ?? []).compactMap { element in
            understand(element) { text throws(ConfigurationValueError) in
                let words = text.split(separator: " ", omittingEmptySubsequences: false)
                guard words.count == 2, methods.contains(String(words[0])), words[1].hasPrefix("/") else {
                    throw ConfigurationValueError("expected a method and a path such as POST /sleep")
                }
                let segments = words[1].dropFirst().split(separator: "/", omittingEmptySubsequences: false)
                let isPath =
                    !segments.contains { $0.isEmpty || $0 == "." || $0 == ".." }
                    && words[1].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
                    && !words[1].contains { "?#%\\".contains($0) }
                guard isPath else {
                    throw ConfigurationValueError(
                        "the path is written decoded, without query, empty, . or .. segments and final slash")
                }
                return text
            }
        }
    }
}
