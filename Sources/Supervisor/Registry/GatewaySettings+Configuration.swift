import Fleet

extension GatewaySettings {
    /// What of the configuration a gateway needs.
    init(_ configuration: Configuration) {
        func milliseconds(_ duration: Duration) -> Int { Int(clamping: duration.nanoseconds / 1_000_000) }
        self.init(
            masterKey: configuration.masterKey,
            bodyBytes: configuration.limits.body, bodyMemoryBytes: configuration.limits.bodyMemory,
            headerBytes: configuration.limits.header, streamsPerInstance: configuration.limits.streamsPerInstance,
            queueLength: configuration.limits.queue,
            queueTimeoutMilliseconds: milliseconds(configuration.limits.queueTimeout),
            connectTimeoutMilliseconds: milliseconds(configuration.timeouts.connect),
            firstByteTimeoutMilliseconds: milliseconds(configuration.timeouts.firstByte),
            streamIdleTimeoutMilliseconds: milliseconds(configuration.timeouts.streamIdle),
            slowReaderTimeoutMilliseconds: milliseconds(configuration.timeouts.slowReader),
            drainTimeoutMilliseconds: milliseconds(configuration.gateway.drain),
            tls: configuration.tls, corsOrigins: configuration.corsOrigins, accessLog: configuration.accessLog,
            connections: configuration.limits.connections)
    }
}
