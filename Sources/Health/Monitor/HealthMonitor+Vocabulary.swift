import Fleet

extension HealthMonitor {
    /// What a probe asks.
    public enum ProbeKind: String, Sendable, Hashable, CaseIterable {
        /// `/v1/models`: who it is.
        case models
        /// `/health`: whether vLLM says that its engine is dead.
        case health
        /// `/metrics`: whether the engine steps.
        case metrics
        /// A real one-token request: the warm-up, and canaries later.
        case request
    }

    /// A probe to be sent. The shell adds the endpoint and the key.
    public struct ProbeOrder: Sendable, Hashable {
        /// To be given back with the answer; never used twice.
        public var id: UInt64
        /// What it asks.
        public var kind: ProbeKind
        /// `GET` or `POST`.
        public var method: String
        /// Such as `/v1/models`, below the endpoint's base path.
        public var path: String
        /// A JSON body for `POST`.
        public var body: [UInt8]
        /// For the whole exchange.
        public var timeout: Duration

        /// The probe as the prober takes it.
        public func probe(endpoint: Endpoint, apiKey: Secret?) -> HTTPProbe {
            HTTPProbe(endpoint: endpoint, apiKey: apiKey, method: method, path: path, body: body, timeout: timeout)
        }
    }

    /// What the monitor is told.
    public enum Event: Sendable, Hashable {
        /// The process lives, or the attached server's address is known: start asking.
        case began
        /// As ``began``, for one that was published in the supervisor's earlier life: it counts as warm with these models
        /// until a witness says otherwise. A canary goes at once.
        case adopted([ModelCard])
        /// A probe's outcome. Unknown and late ids are ignored.
        case answered(UInt64, HTTPProbeResult)
        /// What the gateways have in flight on this run, and when the last byte came from it.
        case activity(inflight: Int, lastByte: Instant?)
        /// A gateway saw a connection fail or break: ask now.
        case suspected(String)
        /// Its name leads to another address now: answers under way say nothing any more.
        case endpointChanged
        /// ``HealthMonitor/nextWake`` has come.
        case tick
    }

    /// What the shell is to do.
    public enum Action: Sendable, Hashable {
        /// Send this and report ``Event/answered(_:_:)``.
        case probe(ProbeOrder)
        /// Act on this.
        case conclude(HealthConclusion)
    }
}
