import Fleet

/// `GET /metrics`: what the daemon knows, as Prometheus text (exposition format 0.0.4). A pure function of reports.
///
/// No label takes a value that a client can invent: instances, providers, states, routes and reasons are all words of
/// the configuration or of the code.
public struct MetricsText: Sendable {
    /// The status that `/api/v1/status` shows.
    public var status: StatusReport
    /// What the gateways have counted, added up; nil before the first report. Its ``GatewayReport/counters`` may carry a
    /// label behind a colon: `client_aborts:chat`, `retries:refused`, `queue_depth:chat`, `breaker_open:chat-0`.
    public var gateway: GatewayReport?
    /// What is counted and timed of each instance.
    public var measures: [String: InstanceMeasures]
    /// The GPUs.
    public var gpus: [GPUReading]

    /// Metrics of a status and a report.
    public init(
        status: StatusReport, gateway: GatewayReport?, measures: [String: InstanceMeasures] = [:],
        gpus: [GPUReading] = []
    ) {
        self.status = status
        self.gateway = gateway
        self.measures = measures
        self.gpus = gpus
    }

    /// The text.
    public func render() -> String {
        var text = MetricsWriter()
        text.family("stoker_build_info", .gauge, "The daemon's version and mode, always 1.")
        text.sample([("version", status.version), ("mode", status.mode)], 1)
        text.family("stoker_uptime_seconds", .gauge, "Time since the supervisor started.")
        text.sample([], status.uptimeSeconds)
        text.family("stoker_ready", .gauge, "Whether ready_when is met (0 or 1).")
        text.sample([], status.ready ? 1 : 0)
        instances(into: &text)
        requests(into: &text)
        labelled(into: &text)
        histograms(into: &text)
        text.family("stoker_tokens_total", .counter, "Tokens used, as the servers' answers said.")
        for count in gateway?.tokens ?? [] {
            text.sample(
                [("provider", count.provider), ("model", count.model), ("kind", count.kind)], Double(count.count))
        }
        processors(into: &text)
        text.family("stoker_gateway_restarts_total", .counter, "How often the gateway process was started again.")
        text.sample([], Double(status.gateway.restarts))
        return text.text
    }

    private func instances(into text: inout MetricsWriter) {
        let all = status.providers.flatMap { provider in provider.instances.map { (provider.name, $0) } }
        text.family("stoker_instance_state", .gauge, "Whether the instance is in the state (0 or 1).")
        for (provider, instance) in all {
            for state in InstanceState.allCases {
                text.sample(
                    [("instance", instance.id), ("provider", provider), ("state", state.rawValue)],
                    instance.state == state ? 1 : 0)
            }
        }
        text.family("stoker_instance_restarts_total", .counter, "How often the instance was started again.")
        let measured = measures.sorted { $0.key < $1.key }
        for (instance, measures) in measured {
            // A series that begins with its first event is one of which Prometheus does not see that event.
            for reason in Fault.kinds {
                text.sample([("instance", instance), ("reason", reason)], Double(measures.restarts[reason] ?? 0))
            }
        }
        text.family("stoker_instance_ready_seconds", .gauge, "How long the newest start took until ready.")
        for (instance, measures) in measured {
            if let duration = measures.readyAfter { text.sample([("instance", instance)], duration.seconds) }
        }
        text.family("stoker_probe_duration_seconds", .gauge, "How long the newest probe took, answered or not.")
        for (instance, measures) in measured {
            for (signal, duration) in measures.probes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                text.sample([("instance", instance), ("signal", signal.rawValue)], duration.seconds)
            }
        }
        text.family("stoker_inflight_requests", .gauge, "Requests in flight through the gateway.")
        for (_, instance) in all { text.sample([("instance", instance.id)], Double(instance.inflight)) }
    }

    private func processors(into text: inout MetricsWriter) {
        text.family("stoker_gpu_memory_bytes", .gauge, "A GPU's memory: all, what is used and free, and whose it is.")
        for reading in gpus {
            let kinds = [
                ("total", reading.gpu.memoryBytes), ("used", reading.used), ("free", reading.free),
                ("own", reading.own), ("foreign", reading.foreign),
            ]
            for (kind, bytes) in kinds {
                text.sample([("gpu", String(reading.gpu.index)), ("kind", kind)], Double(bytes))
            }
        }
        text.family("stoker_gpu_utilization_ratio", .gauge, "How busy a GPU was in its last sample period (0 to 1).")
        for reading in gpus {
            if let ratio = reading.utilization { text.sample([("gpu", String(reading.gpu.index))], ratio) }
        }
    }

    private func requests(into text: inout MetricsWriter) {
        text.family(
            "stoker_requests_total", .counter, "Requests answered; 499 for a client that left before an answer.")
        for request in gateway?.requests ?? [] {
            text.sample(
                [("provider", request.provider), ("route", request.route), ("status", String(request.status))],
                Double(request.count))
        }
        text.family(
            "stoker_upstream_lost_total", .counter, "Responses cut short by the instance after their first byte.")
        var lost: [String: UInt64] = [:]
        for provider in status.providers { for instance in provider.instances { lost[instance.id] = 0 } }
        for run in gateway?.runs ?? [] { lost[run.run.instance, default: 0] += run.lost }
        for (instance, count) in lost.sorted(by: { $0.key < $1.key }) {
            text.sample([("instance", instance)], Double(count))
        }
    }

    /// Families whose numbers are named counters of the report.
    private static let labelledFamilies: [(counter: String, label: String, type: MetricsWriter.Kind, help: String)] = [
        ("client_aborts", "provider", .counter, "Clients that left before their answer was whole."),
        ("retries", "reason", .counter, "Requests tried again on another instance."),
        ("queue_depth", "provider", .gauge, "Requests waiting for an instance."),
        ("breaker_open", "instance", .gauge, "Whether the instance's breaker is open (0 or 1)."),
    ]

    private func labelled(into text: inout MetricsWriter) {
        let counters = (gateway?.counters ?? [:]).sorted { $0.key < $1.key }
        for family in Self.labelledFamilies {
            let name = "stoker_\(family.counter)" + (family.type == .counter ? "_total" : "")
            text.family(name, family.type, family.help)
            for (key, count) in counters {
                let parts = key.split(separator: ":", maxSplits: 1)
                guard parts.first == family.counter[...] else { continue }
                text.sample([(family.label, parts.count == 2 ? String(parts[1]) : "-")], Double(count))
            }
        }
    }

    /// Families of durations, whose buckets are the gateways'.
    private static let histogramFamilies: [(name: String, help: String)] = [
        ("request_duration_seconds", "From a request's head to the end of its answer."),
        ("time_to_first_byte_seconds", "From a request's head to the first byte of its answer on its way out."),
        ("inter_chunk_seconds", "Between two reads of a stream from its server."),
        ("gateway_overhead_seconds", "The gateway's own part of a request; one of 16 requests is measured."),
        ("event_loop_lag_seconds", "How long a turn of an event loop takes; one of 16 turns is measured."),
    ]

    private func histograms(into text: inout MetricsWriter) {
        for family in Self.histogramFamilies {
            text.family("stoker_\(family.name)", .histogram, family.help)
            for histogram in gateway?.histograms ?? [] where histogram.name == family.name {
                let labels = [("provider", histogram.provider), ("route", histogram.route)]
                text.histogram(
                    labels.compactMap { name, value in value.map { (name, $0) } }, bounds: histogram.bounds,
                    counts: histogram.counts, sum: histogram.sum)
            }
        }
    }
}
