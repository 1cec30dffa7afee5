extension ConfigurationReading {
    /// Puts the configuration together. It is only to be used when no problem is an error.
    mutating func build() -> Configuration {
        var result = Configuration()
        addresses("listen", to: &result.listen)
        addresses("admin.listen", to: &result.admin.listen)
        result.admin.tokenFile = path("admin.token_file") ?? credentialFile("admin_token")
        result.masterKey = secret("master_key", credential: "master_key")
        boolean("allow_unauthenticated", to: &result.allowUnauthenticated)
        choice("mode", to: &result.mode)
        choice("ready_when", to: &result.readyWhen)
        integer("starts_at_once", to: &result.startsAtOnce)

        duration("health.interval", to: &result.health.interval)
        duration("health.timeout", to: &result.health.timeout)
        integer("health.unhealthy_after", to: &result.health.unhealthyAfter)
        integer("health.healthy_after", to: &result.health.healthyAfter)
        duration("health.hang_after", to: &result.health.hangAfter)
        choice("health.canary", to: &result.health.canary)

        size("limits.body", to: &result.limits.body)
        size("limits.body_memory", to: &result.limits.bodyMemory)
        size("limits.header", to: &result.limits.header)
        integer("limits.streams_per_instance", to: &result.limits.streamsPerInstance)
        integer("limits.queue", to: &result.limits.queue)
        duration("limits.queue_timeout", to: &result.limits.queueTimeout)
        var connections = 0
        integer("limits.connections", to: &connections)
        result.limits.connections = connections == 0 ? nil : connections

        duration("timeouts.connect", to: &result.timeouts.connect)
        duration("timeouts.first_byte", to: &result.timeouts.firstByte)
        duration("timeouts.stream_idle", to: &result.timeouts.streamIdle)
        duration("timeouts.slow_reader", to: &result.timeouts.slowReader)

        choice("routing.policy", to: &result.routing.policy)
        integer("gateway.loops", to: &result.gateway.loops)
        duration("gateway.drain", to: &result.gateway.drain)
        var memory = 0
        size("gateway.memory", to: &memory)
        result.gateway.memory = memory == 0 ? nil : memory

        if let certificate = path("tls.certificate_file") {
            result.tls = ListenerTLS(certificateFile: certificate, keyFile: path("tls.key_file") ?? certificate)
        }
        result.corsOrigins = origins("cors.origins")
        result.accessLog = accessLog("access_log")

        for name in providers.keys.sorted() {
            if let provider = provider(name, mode: result.mode) { result.providers.append(provider) }
        }
        check(result)
        return result
    }
}
