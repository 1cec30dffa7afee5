/// What a reload would do: one configuration held against another.
public struct ConfigurationDifference: Sendable, Hashable {
    /// Names of instances that are new, in order.
    public var added: [String] = []
    /// Names of instances that are no more, in order.
    public var removed: [String] = []
    /// Instances that have to be replaced, in order of name.
    public var changed: [InstanceChange] = []
    /// Instances whose server stays as it is while the rules for it change (back-off, deadlines, keys, models).
    public var adjusted: [InstanceChange] = []
    /// Names of instances that nothing happens to, in order.
    public var untouched: [String] = []
    /// Settings of the daemon and the gateway that differ.
    public var settings: [SettingChange] = []

    /// No difference.
    public init() {}

    /// Whether the two are the same.
    public var isEmpty: Bool {
        added.isEmpty && removed.isEmpty && changed.isEmpty && adjusted.isEmpty && settings.isEmpty
    }

    /// Settings that differ and wait for a restart of the daemon.
    public var needsRestart: [SettingChange] { settings.filter { $0.reload == .restart } }

    /// Whether a new gateway process is needed.
    public var needsNewGateway: Bool { settings.contains { $0.reload == .newGateway } }

    /// A setting that differs.
    public struct SettingChange: Sendable, Hashable, Codable, CustomStringConvertible {
        /// The key's path.
        public var path: String
        /// As it was; nil where it was not given. `(set)` for a secret.
        public var old: String?
        /// As it is to be; nil where it is not given. `(changed)` for a secret that was another one.
        public var new: String?
        /// What it asks for.
        public var reload: KeyDescription.ReloadBehaviour

        /// `health.interval: 2s → 5s`
        public var description: String { "\(path): \(old ?? "(none)") → \(new ?? "(none)")" }
    }

    /// An instance for which something differs.
    public struct InstanceChange: Sendable, Hashable, Codable {
        /// The instance.
        public var name: String
        /// What differs.
        public var settings: [SettingChange]
    }

    /// What changes from one configuration to another. Secrets are compared, and shown as `(set)` or `(changed)`.
    ///
    /// - Parameter running: What each instance that there is runs by, where that may not be the old configuration.
    public static func between(
        _ old: Configuration, _ new: Configuration, running: [String: ProviderConfiguration]? = nil
    ) -> ConfigurationDifference {
        var difference = ConfigurationDifference()
        difference.settings = changes(from: daemon(old), to: daemon(new))
        let before = running ?? instances(of: old)
        let after = instances(of: new)
        for (name, provider) in after.sorted(by: { $0.key < $1.key }) {
            guard let previous = before[name] else {
                difference.added.append(name)
                continue
            }
            let isReplaced = previous.name != provider.name || isLaunched(previous) != isLaunched(provider)
            // The number of replicas adds and removes instances; for those that stay it is nothing.
            let differing = changes(from: previous.settings, to: provider.settings)
                .filter { !$0.path.hasSuffix(".replicas") || isReplaced }
            if isReplaced || differing.contains(where: { $0.reload == .replacesInstances }) {
                difference.changed.append(InstanceChange(name: name, settings: differing))
            } else if !differing.isEmpty {
                difference.adjusted.append(InstanceChange(name: name, settings: differing))
            } else {
                difference.untouched.append(name)
            }
        }
        difference.removed = before.keys.filter { after[$0] == nil }.sorted()
        return difference
    }

    private static func daemon(_ configuration: Configuration) -> [ConfigurationSetting] {
        configuration.settings.filter { !$0.path.hasPrefix("providers.") }
    }

    private static func isLaunched(_ provider: ProviderConfiguration) -> Bool {
        if case .launched = provider.source { return true }
        return false
    }

    private static func instances(of configuration: Configuration) -> [String: ProviderConfiguration] {
        var instances: [String: ProviderConfiguration] = [:]
        for provider in configuration.providers {
            for name in provider.instanceNames { instances[name] = provider }
        }
        return instances
    }

    private static func changes(
        from old: [ConfigurationSetting], to new: [ConfigurationSetting]
    ) -> [SettingChange] {
        var before: [String: ConfigurationSetting] = [:]
        for setting in old { before[setting.path] = setting }
        var changes: [SettingChange] = []
        for setting in new {
            let previous = before.removeValue(forKey: setting.path)
            guard previous?.identity != setting.identity else { continue }
            // The same text for different values: what differs is secret.
            let text = previous?.text == setting.text ? "(changed)" : setting.text
            changes.append(change(setting.path, old: previous?.text, new: text))
        }
        for setting in old where before[setting.path] != nil {
            changes.append(change(setting.path, old: setting.text, new: nil))
        }
        return changes
    }

    private static func change(_ path: String, old: String?, new: String?) -> SettingChange {
        SettingChange(path: path, old: old, new: new, reload: ConfigurationReference.key(at: path)?.reload ?? .live)
    }
}
