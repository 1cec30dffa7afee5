/// A gateway's report as the JSON that ``GatewayMessage`` codes to, written by hand: a report leaves every second for as
/// long as a gateway lives, and Foundation's encoder would keep megabytes of its code and tables in an idle one's
/// memory. A test compares both.
struct ReportText {
    /// What is written so far.
    private(set) var bytes: [UInt8] = []
    private var isFirst = true

    /// The message that carries a report.
    init(_ report: GatewayReport) {
        bytes.reserveCapacity(4096)
        put(#"{"report":{"_0":"#)
        object { text in
            if let applied = report.applied {
                text.key("applied")
                text.write(applied)
            }
            text.key("loopHeartbeats")
            text.list(report.loopHeartbeats) { $0.number($1.nanoseconds) }
            text.member("inflight", report.inflight)
            text.member("requestsTotal", report.requestsTotal)
            text.key("runs")
            text.list(report.runs) { $0.write($1) }
            text.key("requests")
            text.list(report.requests) { $0.write($1) }
            text.key("counters")
            text.object { text in for (name, count) in report.counters { text.member(name, count) } }
            if let histograms = report.histograms {
                text.key("histograms")
                text.list(histograms) { $0.write($1) }
            }
            if let tokens = report.tokens {
                text.key("tokens")
                text.list(tokens) { $0.write($1) }
            }
        }
        put("}}")
    }

    private mutating func write(_ version: SnapshotVersion) {
        object { text in
            text.member("epoch", version.epoch)
            text.member("revision", version.revision)
        }
    }

    private mutating func write(_ report: RunReport) {
        object { text in
            text.key("run")
            text.object { text in
                text.member("instance", report.run.instance)
                text.member("run", report.run.run)
            }
            text.member("inflight", report.inflight)
            if let last = report.lastByte { text.member("lastByte", last.nanoseconds) }
            text.member("failures", report.failures)
            text.member("lost", report.lost)
            if let failure = report.lastFailure { text.member("lastFailure", failure) }
        }
    }

    private mutating func write(_ count: RequestCount) {
        object { text in
            text.member("provider", count.provider)
            text.member("route", count.route)
            text.member("status", count.status)
            text.member("count", count.count)
        }
    }

    private mutating func write(_ histogram: HistogramReport) {
        object { text in
            text.member("name", histogram.name)
            if let provider = histogram.provider { text.member("provider", provider) }
            if let route = histogram.route { text.member("route", route) }
            text.member("firstBound", histogram.firstBound)
            text.key("counts")
            text.list(histogram.counts) { $0.number($1) }
            text.member("sum", histogram.sum)
        }
    }

    private mutating func write(_ count: TokenCount) {
        object { text in
            text.member("provider", count.provider)
            text.member("model", count.model)
            text.member("kind", count.kind)
            text.member("count", count.count)
        }
    }

    // MARK: JSON

    private mutating func object(_ members: (inout ReportText) -> Void) {
        bytes.append(0x7b)
        isFirst = true
        members(&self)
        isFirst = false
        bytes.append(0x7d)
    }

    private mutating func list<Element>(_ elements: [Element], _ write: (inout ReportText, Element) -> Void) {
        bytes.append(0x5b)
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(0x2c) }
            write(&self, element)
        }
        bytes.append(0x5d)
        isFirst = false
    }

    private mutating func key(_ name: String) {
        if !isFirst { bytes.append(0x2c) }
        isFirst = false
        string(name)
        bytes.append(0x3a)
    }

    private mutating func member(_ name: String, _ value: some FixedWidthInteger) {
        key(name)
        number(value)
    }

    private mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    /// Seconds are finite: JSON has no word for others. The shortest text that reads as the same number.
    private mutating func member(_ name: String, _ value: Double) {
        key(name)
        put(value.isFinite ? value.description : "0")
    }

    private mutating func number(_ value: some FixedWidthInteger) { put(String(value)) }

    private mutating func string(_ text: String) {
        bytes.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5c:
                bytes.append(0x5c)
                bytes.append(byte)
            case 0..<0x20:
                put("\\u00")
                bytes.append(0x30 + byte >> 4)
                let digit = byte & 15
                bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
    }

    private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }
}
