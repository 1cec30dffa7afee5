import Testing

@testable import Health

@Suite("The engines' own metrics as one text")
struct EngineExpositionTests {
    static let text = """
        # HELP python_info Python platform information
        # TYPE python_info gauge
        python_info{version="3.11"} 1.0
        # HELP vllm:num_requests_running Number of requests in model execution batches.
        # TYPE vllm:num_requests_running gauge
        vllm:num_requests_running{engine="0",model_name="org/m"} 2.0
        # HELP vllm:ttft_seconds Time to first token.
        # TYPE vllm:ttft_seconds histogram
        vllm:ttft_seconds_bucket{engine="0",le="0.1",model_name="a}b"} 1.0
        vllm:ttft_seconds_count{engine="0"} 1.0
        vllm:ttft_seconds_sum{engine="0"} 0.05
        vllm:plain 3
        """

    private func exposition(_ texts: [(String, String?)]) -> [String] {
        var exposition = EngineExposition()
        for (instance, text) in texts {
            exposition.add(instance: instance, provider: "chat", text: text.map { Array($0.utf8) })
        }
        return exposition.render().split(separator: "\n").map(String.init)
    }

    @Test("Every sample of every server has the server's name, and a family stands once with all of its samples")
    func merged() throws {
        let lines = exposition([("chat-0", Self.text), ("chat-1", Self.text)])
        for instance in ["chat-0", "chat-1"] {
            let labels = "instance=\"\(instance)\",provider=\"chat\""
            #expect(
                lines.contains("vllm:num_requests_running{\(labels),engine=\"0\",model_name=\"org/m\"} 2.0"))
            #expect(
                lines.contains("vllm:ttft_seconds_bucket{\(labels),engine=\"0\",le=\"0.1\",model_name=\"a}b\"} 1.0"))
            #expect(lines.contains("vllm:plain{\(labels)} 3"))
        }
        #expect(lines.filter { $0 == "# TYPE vllm:ttft_seconds histogram" }.count == 1)
        let type = try #require(lines.firstIndex(of: "# TYPE vllm:ttft_seconds histogram"))
        #expect(lines[(type + 1)...(type + 6)].allSatisfy { $0.hasPrefix("vllm:ttft_seconds_") })
        #expect(!lines.contains { $0.contains("python") })
    }

    @Test("Of a server that says nothing that is said")
    func silent() {
        let lines = exposition([("chat-0", nil), ("chat-1", Self.text)])
        #expect(lines.contains("stoker_engine_scrape_up{instance=\"chat-0\",provider=\"chat\"} 0"))
        #expect(lines.contains("stoker_engine_scrape_up{instance=\"chat-1\",provider=\"chat\"} 1"))
    }

    @Test("Nonsense is left out", arguments: ["vllm:x", "vllm:", "# TYPE vllm:x", "{}", "vllm:x} 1{", "\u{0} 1"])
    func nonsense(_ text: String) {
        for line in exposition([("chat-0", text)]) where !line.hasPrefix("#") {
            #expect(["stoker_engine_scrape_up{", "vllm:x}{", "vllm:{"].contains { line.hasPrefix($0) })
        }
    }
}
