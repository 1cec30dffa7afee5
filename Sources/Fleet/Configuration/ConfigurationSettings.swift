/// A configuration as it would be written, key by key, without secrets: what is shown, compared and kept in logs.
///
/// Providers' keys are there only where they apply: an attached provider has no `gpus`.
public struct ConfigurationSetting: Sendable, Hashable {
    /// The key's path, such as `health.interval` or `providers.chat.model`.
    public var path: String
    /// The value as it would be written on one line; `(set)` for a secret.
    public var text: String
    /// Two settings are the same when these are: the value itself, secrets included. Never shown.
    var identity: Secret

    init(_ path: String, _ text: String, identity: String? = nil) {
        self.path = path
        self.text = text
        self.identity = Secret(identity ?? text)
    }
}

extension Configuration {
    /// Every setting in the order of the reference: the daemon's, then each provider's.
    public var settings: [ConfigurationSetting] {
        daemonSettings + providers.flatMap(\.settings)
    }

    private var daemonSettings: [ConfigurationSetting] {
        func duration(_ path: String, _ value: Duration) -> ConfigurationSetting {
            ConfigurationSetting(path, value.configurationText, identity: "\(value.nanoseconds)")
        }
        func size(_ path: String, _ value: Int) -> ConfigurationSetting {
            ConfigurationSetting(path, ByteSize.text(value))
        }
        var settings = [
            ConfigurationSetting("listen", FlowText.list(listen.map(\.description))),
            ConfigurationSetting("admin.listen", FlowText.list(admin.listen.map(\.description))),
        ]
        if let file = admin.tokenFile {
            settings.append(ConfigurationSetting("admin.token_file", FlowText.scalar(file)))
        }
        if let masterKey {
            settings.append(ConfigurationSetting("master_key", "(set)", identity: masterKey.reveal()))
        }
        settings += [
            ConfigurationSetting("allow_unauthenticated", "\(allowUnauthenticated)"),
            ConfigurationSetting("mode", mode.rawValue),
            ConfigurationSetting("ready_when", readyWhen.rawValue),
            ConfigurationSetting("starts_at_once", "\(startsAtOnce)"),
            duration("health.interval", health.interval),
            duration("health.timeout", health.timeout),
            ConfigurationSetting("health.unhealthy_after", "\(health.unhealthyAfter)"),
            ConfigurationSetting("health.healthy_after", "\(health.healthyAfter)"),
            duration("health.hang_after", health.hangAfter),
            ConfigurationSetting("health.canary", health.canary.rawValue),
            size("limits.body", limits.body),
            size("limits.body_memory", limits.bodyMemory),
            size("limits.header", limits.header),
            ConfigurationSetting("limits.streams_per_instance", "\(limits.streamsPerInstance)"),
            ConfigurationSetting("limits.queue", "\(limits.queue)"),
            duration("limits.queue_timeout", limits.queueTimeout),
            ConfigurationSetting("limits.connections", "\(limits.connections ?? 0)"),
            duration("timeouts.connect", timeouts.connect),
            duration("timeouts.first_byte", timeouts.firstByte),
            duration("timeouts.stream_idle", timeouts.streamIdle),
            duration("timeouts.slow_reader", timeouts.slowReader),
            ConfigurationSetting("routing.policy", routing.policy.rawValue),
            ConfigurationSetting("gateway.loops", "\(gateway.loops)"),
            duration("gateway.drain", gateway.drain),
        ]
        if let memory = gateway.memory { settings.append(size("gateway.memory", memory)) }
        if let tls {
            settings += [
                ConfigurationSetting("tls.certificate_file", FlowText.scalar(tls.certificateFile)),
                ConfigurationSetting("tls.key_file", FlowText.scalar(tls.keyFile)),
            ]
        }
        if let corsOrigins { settings.append(ConfigurationSetting("cors.origins", FlowText.list(corsOrigins))) }
        if let accessLog { settings.append(ConfigurationSetting("access_log", FlowText.scalar(accessLog))) }
        return settings
    }
}

extension ProviderConfiguration {
    /// The provider's settings.
    public var settings: [ConfigurationSetting] {
        let prefix = "providers.\(name)"
        var settings: [ConfigurationSetting] = []
        switch source {
        case .attached(let attach):
            // Written with /v1, so that a prefix that ends with /v1 itself is not taken for it.
            let url = attach.baseURL.description + (attach.baseURL.unixPath == nil ? "/v1" : "")
            settings.append(ConfigurationSetting("\(prefix).base_url", FlowText.scalar(url)))
            if let key = attach.apiKey {
                settings.append(ConfigurationSetting("\(prefix).api_key", "(set)", identity: key.reveal()))
            }
            if let file = attach.caFile {
                settings.append(ConfigurationSetting("\(prefix).ca_file", FlowText.scalar(file)))
            }
        case .launched(let launch):
            settings += launch.settings(prefix)
        }
        if !models.isEmpty { settings.append(ConfigurationSetting("\(prefix).models", FlowText.list(models))) }
        if !passthroughAllow.isEmpty {
            settings.append(ConfigurationSetting("\(prefix).passthrough_allow", FlowText.list(passthroughAllow)))
        }
        return settings
    }
}

extension LaunchConfiguration {
    fileprivate func settings(_ prefix: String) -> [ConfigurationSetting] {
        let names = env.keys.sorted()
        let shownEnv = names.map { name in
            let value = SecretNames.isSecret(variable: name) ? "(set)" : FlowText.scalar(env[name]?.reveal() ?? "")
            return "\(FlowText.scalar(name)): \(value)"
        }
        let envIdentity = names.map { "\($0)=\(env[$0]?.reveal() ?? "")\0" }.joined()
        var settings = [
            ConfigurationSetting("\(prefix).model", FlowText.scalar(model)),
            ConfigurationSetting("\(prefix).replicas", "\(replicas)"),
        ]
        switch gpus {
        case .automatic: break
        case .count(let count): settings.append(ConfigurationSetting("\(prefix).gpus", "\(count)"))
        case .devices(let devices): settings.append(ConfigurationSetting("\(prefix).gpus", FlowText.list(devices)))
        }
        settings += [
            ConfigurationSetting(
                "\(prefix).args", FlowText.list(SecretNames.redacted(arguments: args)),
                identity: args.map { "\($0)\0" }.joined()),
            ConfigurationSetting("\(prefix).env", "{\(shownEnv.joined(separator: ", "))}", identity: envIdentity),
            ConfigurationSetting(
                "\(prefix).command", FlowText.list(SecretNames.redacted(arguments: command)),
                identity: command.map { "\($0)\0" }.joined()),
            ConfigurationSetting("\(prefix).transport", transport.rawValue),
            ConfigurationSetting("\(prefix).restart.backoff", restart.backoffText),
            ConfigurationSetting("\(prefix).restart.budget", restart.budgetText),
            ConfigurationSetting("\(prefix).restart.start_budget", "\(restart.startBudget)"),
            ConfigurationSetting("\(prefix).timeouts.start_stall", timeouts.startStall.configurationText),
            ConfigurationSetting("\(prefix).timeouts.start_max", timeouts.startMax.configurationText),
            ConfigurationSetting("\(prefix).timeouts.drain", timeouts.drain.configurationText),
            ConfigurationSetting("\(prefix).timeouts.stop", timeouts.stop.configurationText),
            ConfigurationSetting("\(prefix).warmup", warmup.rawValue),
        ]
        return settings
    }
}
