extension ConfigurationReading {
    /// Lays the environment's settings over the file's.
    mutating func readEnvironment() {
        readStokerVariables()
        readProviderVariables()
    }

    // MARK: STOKER_*

    private mutating func readStokerVariables() {
        for (name, value) in inputs.environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("STOKER_") {
            let place = SourcePlace.environment(name)
            guard let key = ConfigurationReference.variables[name] else {
                if !Self.isForeign(name), !expandedVariables.contains(name) {
                    // What all of them begin with says nothing about which was meant.
                    let known = (ConfigurationReference.variables.keys + ["STOKER_CONFIG"]).map { $0.dropFirst(7) }
                    let nearest = EditDistance.nearest(to: String(name.dropFirst(7)), among: known.map(String.init))
                    let meant = nearest.map { "; did you mean STOKER_\($0)?" } ?? ""
                    warning("unknown variable, ignored\(meant)", at: place)
                }
                continue
            }
            if value.isEmpty {
                // Compose files pass empty variables for unset ones; of a key that would open the gateway silently.
                if key.kind == .secret { error("is empty: give it a key, or unset it", at: place) }
                continue
            }
            guard let raw = Self.overlayValue(value, of: key, at: place) else { continue }
            lay(RawSetting(value: raw, place: place), at: key.path)
        }
        readOlderMasterKey()
    }

    /// `GOMODEL_MASTER_KEY`, unless ours is there.
    private mutating func readOlderMasterKey() {
        let older = "GOMODEL_MASTER_KEY"
        guard let value = inputs.environment[older], inputs.environment["STOKER_MASTER_KEY"] == nil,
            inputs.environment["STOKER_MASTER_KEY_FILE"] ?? "" == ""
        else { return }
        let place = SourcePlace.environment(older)
        if value.isEmpty {
            error("is empty: give it a key, or unset it", at: place)
            return
        }
        let text = RawText(text: value, shown: value, place: place)
        lay(RawSetting(value: .scalar(text), place: place), at: "master_key")
    }

    /// Variables that begin like ours and are not meant as settings: the file's name, tests', and what Kubernetes sets
    /// for a service named stoker.
    private static func isForeign(_ name: String) -> Bool {
        name == "STOKER_CONFIG" || name == "STOKER_PORT" || name == "STOKER_SERVICE_HOST"
            || ["STOKER_LOG", "STOKER_TEST_", "STOKER_DEV_", "STOKER_PORT_", "STOKER_SERVICE_PORT"].contains {
                name.hasPrefix($0)
            }
    }

    // MARK: VLLM_[SUFFIX_]{BASE_URL,API_KEY,MODELS}

    /// One of our variables for providers.
    private struct ProviderVariable {
        var name: String
        var value: String
        /// Empty for `VLLM_BASE_URL` and its like; nil where it cannot be part of a name.
        var suffix: String?
        var key: String

        /// The provider that it belongs to.
        var provider: String? {
            suffix.map { $0.isEmpty ? "vllm" : "vllm-" + String($0.lowercased().map { $0 == "_" ? "-" : $0 }) }
        }
    }

    /// The providers' variables among the environment, in order of name. Empty ones count as unset. Every other
    /// `VLLM_*` is vLLM's own and nothing of ours.
    private func providerVariables() -> [ProviderVariable] {
        let kinds = [("BASE_URL", "base_url"), ("API_KEY", "api_key"), ("MODELS", "models")]
        var found: [ProviderVariable] = []
        for (name, value) in inputs.environment.sorted(by: { $0.key < $1.key }) where !value.isEmpty {
            for (ending, key) in kinds {
                if name == "VLLM_\(ending)" {
                    found.append(ProviderVariable(name: name, value: value, suffix: "", key: key))
                } else if name.hasPrefix("VLLM_"), name.hasSuffix("_\(ending)"),
                    name.utf8.count >= "VLLM_".utf8.count + ending.utf8.count + 1
                {
                    let suffix = String(name.dropFirst("VLLM_".count).dropLast(ending.count + 1))
                    let isValid = Self.isSuffix(suffix)
                    found.append(
                        ProviderVariable(name: name, value: value, suffix: isValid ? suffix : nil, key: key))
                }
            }
        }
        return found
    }

    /// Letters, digits and underscores, beginning and ending with a letter or a digit, short enough for a name.
    private static func isSuffix(_ suffix: String) -> Bool {
        guard let first = suffix.first, let last = suffix.last, first != "_", last != "_" else { return false }
        return suffix.utf8.count + "vllm-".utf8.count <= 63
            && suffix.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }

    private mutating func readProviderVariables() {
        let variables = providerVariables()
        var owners: [String: String] = [:]
        for variable in variables where variable.key == "base_url" {
            guard let provider = variable.provider else { continue }
            if providers[provider] == nil { providers[provider] = .environment(variable.name) }
        }
        for variable in variables {
            let place = SourcePlace.environment(variable.name)
            let isExpanded = expandedVariables.contains(variable.name)
            guard let provider = variable.provider else {
                if isExpanded { continue }
                warning(
                    "ignored: between VLLM_ and _\(variable.key.uppercased()) stand letters, digits and "
                        + "underscores, at most 58, the first and the last no underscore",
                    at: place)
                continue
            }
            guard providers[provider] != nil else {
                if isExpanded { continue }
                let url = variable.name.dropLast(variable.key.utf8.count) + "BASE_URL"
                warning(
                    "ignored: there is no provider \(provider) that it could belong to; \(url) would register it",
                    at: place)
                continue
            }
            let path = "providers.\(provider).\(variable.key)"
            if let other = owners.updateValue(variable.name, forKey: path) {
                error("sets the same as \(other): both belong to provider \(provider)", at: place)
                continue
            }
            lay(variable, at: path, provider: provider, place: place)
        }
    }

    private mutating func lay(
        _ variable: ProviderVariable, at path: String, provider: String, place: SourcePlace
    ) {
        let isLaunched =
            settings["providers.\(provider).model"] != nil || unreadable.contains("providers.\(provider).model")
        if isLaunched, variable.key == "base_url" {
            error(
                "provider \(provider) is launched here (it has a model): it takes no base URL; rename the provider, or "
                    + "unset the variable",
                at: place)
            return
        }
        if isLaunched, variable.key == "api_key" {
            warning("ignored: provider \(provider) is launched here and needs no key", at: place)
            return
        }
        guard let key = ConfigurationReference.key(at: path),
            let raw = Self.overlayValue(
                variable.key == "models" ? variable.value : variable.value.trimmed, of: key, at: place)
        else { return }
        lay(RawSetting(value: raw, place: place), at: path)
    }
}
