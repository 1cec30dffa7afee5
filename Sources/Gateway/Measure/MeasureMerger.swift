import Fleet
import Synchronization

/// Adds up what the loops have measured, for a report.
struct MeasureMerger {
    private struct Key: Hashable {
        var name: String
        var provider: String?
        var route: String?
    }

    private struct TokenKey: Hashable {
        var provider: String
        var model: String
        var kind: String
    }

    private let providers: [String]
    private let models: [String]
    private var histograms: [Key: HistogramReport] = [:]
    private var tokens: [TokenKey: UInt64] = [:]
    /// Named counters: `client_aborts:chat`, `retries:refused`, `queue_depth:chat`.
    private(set) var counters: [String: UInt64] = [:]

    /// Nothing added up; names by the numbers that measurements know them by.
    init(providers: [String], models: [String]) {
        self.providers = providers
        self.models = models
    }

    /// Adds one loop's.
    mutating func add(_ measures: borrowing LoopMeasures) {
        merge(measures.overhead.report("gateway_overhead_seconds"))
        merge(measures.lag.report("event_loop_lag_seconds"))
        var found: [HistogramReport?] = []
        measures.series.each { key, series in
            let provider = providers[Int(key >> 8)]
            let route = ByteView((Route(rawValue: UInt8(truncatingIfNeeded: key)) ?? .unknown).pattern).string
            found.append(
                series.pointee.duration.report("request_duration_seconds", provider: provider, route: route))
            found.append(
                series.pointee.firstByte.report("time_to_first_byte_seconds", provider: provider, route: route))
        }
        var counted: [(String, UInt64)] = []
        measures.providers.each { key, value in
            let provider = providers[Int(key)]
            found.append(value.pointee.interChunk.report("inter_chunk_seconds", provider: provider))
            counted.append(("client_aborts:\(provider)", value.pointee.aborts.load(ordering: .relaxed)))
            counted.append(("queue_depth:\(provider)", UInt64(max(0, value.pointee.queued.load(ordering: .relaxed)))))
        }
        for reason in Exchange.Reason.allCases {
            let count = measures.retries[Int(reason.rawValue)].load(ordering: .relaxed)
            if count > 0 { counted.append(("retries:\(reason.label)", count)) }
        }
        let stale = measures.retries[Exchange.Reason.allCases.count].load(ordering: .relaxed)
        if stale > 0 { counted.append(("retries:stale", stale)) }
        measures.tokens.each { key, value in
            let provider = providers[Int(key >> 16)]
            let model = models[Int(key & 0xffff)]
            let prompt = TokenKey(provider: provider, model: model, kind: "prompt")
            let completion = TokenKey(provider: provider, model: model, kind: "completion")
            tokens[prompt, default: 0] += value.pointee.prompt.load(ordering: .relaxed)
            tokens[completion, default: 0] += value.pointee.completion.load(ordering: .relaxed)
        }
        for histogram in found { merge(histogram) }
        for (name, count) in counted { counters[name, default: 0] += count }
    }

    private mutating func merge(_ histogram: HistogramReport?) {
        guard let histogram else { return }
        let key = Key(name: histogram.name, provider: histogram.provider, route: histogram.route)
        if histograms[key]?.add(histogram) == nil { histograms[key] = histogram }
    }

    /// Puts everything into a report.
    func fill(_ report: inout GatewayReport) {
        report.counters.merge(counters, uniquingKeysWith: +)
        report.histograms = Array(histograms.values)
        report.tokens = tokens.map { key, count in
            TokenCount(provider: key.provider, model: key.model, kind: key.kind, count: count)
        }
    }
}
