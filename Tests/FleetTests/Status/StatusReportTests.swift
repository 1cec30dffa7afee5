import FoundationEssentials
import Testing

@testable import Fleet

@Suite struct StatusReportTests {
    @Test func everyKeyIsThereWhateverIsKnown() throws {
        let instance = InstanceStatus(id: "chat-0", state: .stopped, since: "2026-01-01T00:00:00Z", reason: "")
        let report = StatusReport(
            version: "1", mode: "supervise", ready: false, readyReason: "", uptimeSeconds: 0, revision: 1,
            gateway: GatewayStatus(pid: nil, inflight: 0, requestsTotal: 0, restarts: 0, listen: []),
            providers: [ProviderStatus(name: "chat", kind: .launched, instances: [instance])])
        let data = try JSONEncoder().encode(report)
        let text = String(decoding: data, as: UTF8.self)
        for key in [
            "\"pid\":null", "\"endpoint\":null", "\"last_failure\":null", "\"load\":null", "\"phase\":null",
            "\"expected_ready\":null",
        ] {
            #expect(text.contains(key), "\(key) in \(text)")
        }
        #expect(try JSONDecoder().decode(StatusReport.self, from: data) == report)
    }
}
