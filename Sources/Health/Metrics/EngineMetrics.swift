/// Reads the lines that matter out of `/metrics`, Prometheus' text format (version 0.0.4; OpenMetrics' additions are
/// skipped). One pass over the bytes; lines that make no sense are ignored.
///
/// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
public enum EngineMetrics {
    /// The engine's counters in an answer; all nil where the answer is something else.
    public static func parse(_ body: [UInt8]) -> EngineCounters {
        var collector = Collector()
        body.withUnsafeBufferPointer { bytes in
            var start = 0
            while start < bytes.count {
                var end = start
                while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
                if let line = Line(UnsafeBufferPointer(rebasing: bytes[start..<end])) { collector.take(line) }
                start = end + 1
            }
        }
        return collector.counters
    }

    /// A sample of a name that is known here.
    private struct Line {
        let name: Name
        let label: [UInt8]?
        let value: Double

        init?(_ bytes: UnsafeBufferPointer<UInt8>) {
            var index = 0
            Line.skipBlanks(bytes, &index)
            let nameStart = index
            while index < bytes.count, Line.isNameByte(bytes[index]) { index += 1 }
            guard let name = Name(bytes[nameStart..<index]) else { return nil }
            self.name = name
            var label: [UInt8]?
            Line.skipBlanks(bytes, &index)
            if index < bytes.count, bytes[index] == UInt8(ascii: "{") {
                index += 1
                guard Line.readLabels(bytes, &index, label: &label) else { return nil }
                Line.skipBlanks(bytes, &index)
            }
            self.label = label
            let valueStart = index
            while index < bytes.count, !Line.isBlank(bytes[index]) { index += 1 }
            guard index - valueStart <= 64,
                let value = Double(String(decoding: bytes[valueStart..<index], as: UTF8.self)), !value.isNaN
            else { return nil }
            self.value = value
        }

        /// Reads `a="b",c="d"}` and keeps the one label that matters; false when it never ends.
        private static func readLabels(
            _ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int, label: inout [UInt8]?
        ) -> Bool {
            while index < bytes.count {
                skipBlanks(bytes, &index)
                guard index < bytes.count else { return false }
                if bytes[index] == UInt8(ascii: "}") {
                    index += 1
                    return true
                }
                if bytes[index] == UInt8(ascii: ",") {
                    index += 1
                    continue
                }
                let keyStart = index
                while index < bytes.count, isNameByte(bytes[index]) { index += 1 }
                let key = bytes[keyStart..<index]
                let matters = key.elementsEqual("sleep_state".utf8) || key.elementsEqual("le".utf8)
                skipBlanks(bytes, &index)
                guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return false }
                index += 1
                skipBlanks(bytes, &index)
                guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else { return false }
                index += 1
                var value: [UInt8] = []
                while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
                    if bytes[index] == UInt8(ascii: "\\") { index += 1 }
                    guard index < bytes.count else { return false }
                    if matters { value.append(bytes[index]) }
                    index += 1
                }
                guard index < bytes.count else { return false }
                index += 1
                if matters { label = value }
            }
            return false
        }

        private static func isBlank(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
        }

        private static func skipBlanks(_ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int) {
            while index < bytes.count, isBlank(bytes[index]) { index += 1 }
        }

        private static func isNameByte(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ":"):
                return true
            default: return false
            }
        }
    }

    /// The names that are read; VLLM.md lists those that current versions have.
    private enum Name: String, CaseIterable {
        case iterations = "vllm:iteration_tokens_total_count"
        case generationTokens = "vllm:generation_tokens_total"
        case promptTokens = "vllm:prompt_tokens_total"
        case running = "vllm:num_requests_running"
        case waiting = "vllm:num_requests_waiting"
        case kvCacheUsage = "vllm:kv_cache_usage_perc"
        case olderKVCacheUsage = "vllm:gpu_cache_usage_perc"
        case prefixCacheQueries = "vllm:prefix_cache_queries_total"
        case prefixCacheHits = "vllm:prefix_cache_hits_total"
        case firstTokenBucket = "vllm:time_to_first_token_seconds_bucket"
        case sleepState = "vllm:engine_sleep_state"
        case processStart = "process_start_time_seconds"

        init?(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) {
            // Nearly every line is another metric: say so without making a string.
            guard bytes.count >= 20, bytes.count <= 40,
                let found = Name.allCases.first(where: { $0.rawValue.utf8.elementsEqual(bytes) })
            else { return nil }
            self = found
        }
    }

    /// Adds the engines of one server up.
    private struct Collector {
        var counters = EngineCounters()
        private var usages = 0.0

        mutating func take(_ line: Line) {
            switch line.name {
            case .iterations: add(line.value, to: \.iterations)
            case .generationTokens: add(line.value, to: \.generationTokens)
            case .promptTokens: add(line.value, to: \.promptTokens)
            case .running: add(line.value, to: \.running)
            case .waiting: add(line.value, to: \.waiting)
            case .prefixCacheQueries: add(line.value, to: \.prefixCacheQueries)
            case .prefixCacheHits: add(line.value, to: \.prefixCacheHits)
            case .kvCacheUsage, .olderKVCacheUsage:
                usages += 1
                let before = counters.kvCacheUsage ?? 0
                counters.kvCacheUsage = before + (min(1, max(0, line.value)) - before) / usages
            case .firstTokenBucket:
                guard let label = line.label, let bound = Double(String(decoding: label, as: UTF8.self)), !bound.isNaN,
                    line.value.isFinite, counters.firstTokens.count < 100
                else { return }
                counters.firstTokens[bound, default: 0] += line.value
            case .sleepState:
                guard line.label.map({ $0.elementsEqual("awake".utf8) }) ?? false else { return }
                counters.isAsleep = (counters.isAsleep ?? false) || line.value == 0
            case .processStart: counters.processStart = line.value.isFinite ? line.value : nil
            }
        }

        private mutating func add(_ value: Double, to counter: WritableKeyPath<EngineCounters, Double?>) {
            guard value.isFinite else { return }
            counters[keyPath: counter] = (counters[keyPath: counter] ?? 0) + value
        }
    }
}
