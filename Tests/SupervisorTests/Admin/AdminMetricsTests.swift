import Fleet
import Testing

@testable import Supervisor

@Suite("Metrics text")
struct AdminMetricsTests {
    var lines: [String] {
        var metrics = MetricsText(
            status: SampleReport.lively,
            gateway: GatewayReport(
                inflight: 7, requestsTotal: 10,
                runs: [
                    RunReport(run: InstanceRun(instance: "chat-0", run: 2), lost: 2),
                    RunReport(run: InstanceRun(instance: "chat-0", run: 3), lost: 1),
                ],
                requests: [
                    RequestCount(provider: "chat", route: "/v1/chat/completions", status: 200, count: 9),
                    RequestCount(provider: "-", route: "/v1/models", status: 401, count: 1),
                ],
                counters: ["client_aborts:chat": 4, "retries:refused": 1, "other": 8],
                histograms: [
                    HistogramReport(
                        name: "inter_chunk_seconds", provider: "chat", firstBound: 0.0001, counts: [3, 0, 2],
                        sum: 0.0006),
                    HistogramReport(
                        name: "gateway_overhead_seconds", firstBound: 0.000001,
                        counts: [UInt64](repeating: 1, count: 33), sum: 2.5),
                ], tokens: [TokenCount(provider: "chat", model: "org/m", kind: "prompt", count: 12)]))
        metrics.measures = [
            "chat-0": InstanceMeasures(
                readyAfter: .milliseconds(41_500), probes: [.health: .milliseconds(2), .canary: .milliseconds(250)]),
            "embed-0": InstanceMeasures(restarts: ["exit": 2, "hang": 1]),
        ]
        let gpu = GPU(index: 1, uuid: "GPU-1", name: "Fake", memoryBytes: 80)
        metrics.gpus = [
            GPUReading(
                gpu, GPUMemory(free: 10, total: 80, holders: [5: 40, 6: 8, 7: 2, 8: 1]), utilization: 0.75,
                sessions: [4]
            ) { [5: 4, 6: 4, 7: 1][$0] }
        ]
        return metrics.render().split(separator: "\n").map(String.init)
    }

    @Test(
        "Samples",
        arguments: [
            "stoker_build_info{version=\"\(BuildInfo.version)\",mode=\"supervise\"} 1",
            #"stoker_instance_state{instance="chat-0",provider="chat",state="ready"} 1"#,
            #"stoker_instance_state{instance="chat-0",provider="chat",state="failed"} 0"#,
            #"stoker_instance_state{instance="embed-0",provider="embed",state="failed"} 1"#,
            #"stoker_instance_restarts_total{instance="chat-0",reason="hang"} 0"#,
            #"stoker_instance_restarts_total{instance="embed-0",reason="exit"} 2"#,
            #"stoker_instance_restarts_total{instance="embed-0",reason="hang"} 1"#,
            #"stoker_instance_ready_seconds{instance="chat-0"} 41.5"#,
            #"stoker_probe_duration_seconds{instance="chat-0",signal="health"} 0.002"#,
            #"stoker_probe_duration_seconds{instance="chat-0",signal="canary"} 0.25"#,
            #"stoker_inflight_requests{instance="chat-0"} 7"#,
            #"stoker_requests_total{provider="chat",route="/v1/chat/completions",status="200"} 9"#,
            #"stoker_requests_total{provider="-",route="/v1/models",status="401"} 1"#,
            #"stoker_client_aborts_total{provider="chat"} 4"#, #"stoker_retries_total{reason="refused"} 1"#,
            #"stoker_upstream_lost_total{instance="chat-0"} 3"#, #"stoker_upstream_lost_total{instance="embed-0"} 0"#,
            #"stoker_gpu_memory_bytes{gpu="1",kind="total"} 80"#, #"stoker_gpu_memory_bytes{gpu="1",kind="used"} 70"#,
            #"stoker_gpu_memory_bytes{gpu="1",kind="free"} 10"#, #"stoker_gpu_memory_bytes{gpu="1",kind="own"} 48"#,
            #"stoker_gpu_memory_bytes{gpu="1",kind="foreign"} 2"#, #"stoker_gpu_utilization_ratio{gpu="1"} 0.75"#,
            "stoker_gateway_restarts_total 1",
            #"stoker_inter_chunk_seconds_bucket{provider="chat",le="0.0001"} 3"#,
            #"stoker_inter_chunk_seconds_bucket{provider="chat",le="0.0002"} 5"#,
            #"stoker_inter_chunk_seconds_bucket{provider="chat",le="+Inf"} 5"#,
            #"stoker_inter_chunk_seconds_sum{provider="chat"} 0.0006"#,
            #"stoker_inter_chunk_seconds_count{provider="chat"} 5"#,
            #"stoker_gateway_overhead_seconds_bucket{le="0.049152"} 32"#,
            #"stoker_gateway_overhead_seconds_bucket{le="+Inf"} 33"#, "stoker_gateway_overhead_seconds_count 33",
            #"stoker_tokens_total{provider="chat",model="org/m",kind="prompt"} 12"#,
        ])
    func sample(_ line: String) { #expect(lines.contains(line)) }

    @Test("Every family has its two lines once, before its samples; exactly one state is 1")
    func shape() {
        var families: Set<Substring> = []
        var current: Substring = ""
        for line in lines {
            let words = line.split(separator: " ")
            if line.hasPrefix("# HELP ") {
                #expect(families.insert(words[2]).inserted)
                current = words[2]
            } else if line.hasPrefix("# TYPE ") {
                #expect(words[2] == current && ["counter", "gauge", "histogram"].contains(words[3]))
                #expect((words[3] == "counter") == words[2].hasSuffix("_total"))
            } else {
                let name = line.prefix { $0 != "{" && $0 != " " }
                #expect(name == current || ["_bucket", "_sum", "_count"].contains { name == current + $0 })
            }
        }
        let ready = lines.filter { $0.hasPrefix("stoker_instance_state{instance=\"chat-1\"") && $0.hasSuffix(" 1") }
        #expect(ready.count == 1)
    }

    @Test("Labels are escaped")
    func escaped() {
        var writer = MetricsWriter()
        writer.family("x", .gauge, "help")
        writer.sample([("a", "q\"b\\\n")], .nan)
        #expect(writer.text.hasSuffix("x{a=\"q\\\"b\\\\\\n\"} NaN\n"))
    }
}
