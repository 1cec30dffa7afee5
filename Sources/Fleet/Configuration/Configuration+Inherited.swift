extension Configuration {
    /// What of the daemon's environment a launched engine may inherit: no variable of Stoker's own (`STOKER_*`,
    /// `GOMODEL_*`, `VLLM_[SUFFIX_]BASE_URL`, `_API_KEY`, `_MODELS`), and none that holds the master key or a provider's
    /// key, whatever its name: vLLM would take `VLLM_API_KEY` for its own, and the others are none of an engine's business.
    ///
    /// What an engine should have is in its provider's `env`, which is laid over this.
    public func inheritedEnvironment(from environment: [String: String]) -> [String: String] {
        var keys = Set(
            providers.compactMap { provider -> String? in
                guard case .attached(let attach) = provider.source else { return nil }
                return attach.apiKey?.reveal()
            })
        if let masterKey { keys.insert(masterKey.reveal()) }
        return environment.filter { name, value in !Self.isOwn(variable: name) && !keys.contains(value) }
    }

    private static func isOwn(variable name: String) -> Bool {
        if name.hasPrefix("STOKER_") || name.hasPrefix("GOMODEL_") { return true }
        return name.hasPrefix("VLLM_") && ["_BASE_URL", "_API_KEY", "_MODELS"].contains { name.hasSuffix($0) }
    }
}
