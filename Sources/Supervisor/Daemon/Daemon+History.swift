import Fleet
import Health

/// What the dashboard shows beside the status: the last minutes, what happened, a chat to try.
extension Daemon {
    /// Takes a sample of everything that is shown as a line, and looks at the GPUs.
    func sample() async {
        let records = await registry.records
        let totals = await registry.totals
        chronicle.sample(
            records.map(\.status), inflight: await registry.inflight, requestsTotal: totals.requestsTotal)
        gpus = await spawner.readGPUs(heads: Set(records.compactMap(\.status.pid))).map { reading in
            GPUStatus(
                index: reading.gpu.index, uuid: reading.gpu.uuid, name: reading.gpu.name,
                memoryTotalBytes: reading.gpu.memoryBytes, memoryUsedBytes: reading.used, memoryOwnBytes: reading.own,
                memoryForeignBytes: reading.foreign, utilization: reading.utilization)
        }
        let restarts = await keeper.restarts
        if restarts > gatewayRestarts {
            let pid = await keeper.pid.map(String.init) ?? "none yet"
            chronicle.note(.gateway, "the gateway was started again (pid \(pid))")
        }
        gatewayRestarts = restarts
    }

    /// The last minutes in numbers.
    public func history() async -> MinuteHistory { chronicle.history }

    /// What happened, behind the event of a number.
    public func timeline(after number: UInt64) async -> [TimelineEvent] { chronicle.events(after: number) }

    /// Sends a chat to the gateway as a client would.
    public func tryChat(_ body: [UInt8]) async throws(ControlFailure) -> ChatAnswer {
        let addresses = await keeper.listeners.map(\.address)
        guard let endpoint = ChatRelay.endpoint(of: addresses, tls: configuration.tls != nil) else {
            throw .refused("the gateway listens nowhere")
        }
        return try await relay.send(body, to: endpoint, key: configuration.masterKey)
    }
}
