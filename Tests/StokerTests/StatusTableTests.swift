import Fleet
import Testing

@testable import stoker

@Suite("The status table")
struct StatusTableTests {
    static var report: StatusReport {
        var ready = InstanceStatus(
            id: "chat-0", run: 3, state: .ready, since: "2026-01-31T14:02:11Z", reason: "serves 1 model")
        ready.models = ["meta-llama/Llama-3.1-8B-Instruct"]
        ready.inflight = 7
        ready.lastFailure = .init(at: "2026-01-31T13:59:30Z", kind: "exit", detail: "old", logTail: [], hint: nil)
        var loading = InstanceStatus(
            id: "chat-1", state: .loading, since: "2026-01-31T14:03:40Z", reason: "loads its weights")
        loading.progressPercent = 43
        var failed = InstanceStatus(id: "embed-0", state: .failed, since: "nonsense", reason: "out of\u{1b}[2J\nmemory")
        failed.lastFailure = .init(
            at: "2026-01-31T13:39:58Z", kind: "exit", detail: "exit code 1 after 12 s",
            logTail: ["torch.OutOfMemoryError: \u{7}CUDA out of memory"], hint: "give it a GPU of its own")
        return StatusReport(
            version: "1.2.3", mode: "supervise", ready: true, readyReason: "1/3 instances ready", uptimeSeconds: 93_784,
            revision: 1,
            gateway: GatewayStatus(pid: 42, inflight: 7, requestsTotal: 9, restarts: 0, listen: ["127.0.0.1:8080"]),
            providers: [
                ProviderStatus(name: "chat", kind: .launched, instances: [ready, loading]),
                ProviderStatus(name: "embed", kind: .launched, instances: [failed]),
                ProviderStatus(
                    name: "box", kind: .attached,
                    instances: [
                        InstanceStatus(id: "box", state: .connecting, since: "2026-01-31T14:03:40Z", reason: "refused")
                    ]),
            ],
            notices: ["the file was kept out"])
    }

    func render(width: Int?, colour: Bool = false, _ report: StatusReport = report) -> String {
        // 2026-01-31T14:05:11Z
        StatusTable(report: report, now: 1_769_868_311, width: width, hasColour: colour).render()
    }

    @Test("Everything of it, without a limit")
    func whole() {
        let expected = """
            stoker 1.2.3, supervise, up 1d2h
            ready: 1/3 instances ready
            gateway: pid 42 on 127.0.0.1:8080, 7 in flight, 9 requests, 0 restarts
            note: the file was kept out

            INSTANCE  KIND      STATE         FOR  IN FLIGHT  RESTARTS  MODELS                            REASON
            chat-0    launched  ready         3m   7          0         meta-llama/Llama-3.1-8B-Instruct  serves 1 model
            chat-1    launched  loading 43 %  1m   0          0         -                                 loads its weights
            embed-0   launched  failed        ?    0          0         -                                 out of [2J memory
            box       attached  connecting    1m   0          -         -                                 refused

            embed-0: last failure 2026-01-31T13:39:58Z: exit code 1 after 12 s
                torch.OutOfMemoryError:  CUDA out of memory
              what to do: give it a GPU of its own
            """
        #expect(render(width: nil) == expected)
    }

    @Test("No line is wider than the terminal", arguments: [30, 40, 60, 80, 100, 120, 200])
    func width(_ width: Int) {
        let lines = render(width: width).split(separator: "\n", omittingEmptySubsequences: false)
        for line in lines { #expect(line.count <= width) }
        #expect(lines.contains { $0.hasPrefix("INSTANCE") && $0.contains("STATE") })
        #expect(lines.contains { $0.hasPrefix("chat-1") && $0.contains("loading 43 %") })
    }

    @Test("Colours only where they are wanted")
    func colour() {
        #expect(!render(width: 100).contains("\u{1b}"))
        let coloured = render(width: 100, colour: true)
        #expect(coloured.contains("\u{1b}[32mready\u{1b}[0m") && coloured.contains("\u{1b}[31mfailed\u{1b}[0m"))
    }

    @Test("Nothing configured, nothing ready")
    func empty() {
        var report = Self.report
        report.providers = []
        report.ready = false
        report.gateway.pid = nil
        let text = render(width: 80, report)
        #expect(text.contains("not ready: ") && text.contains("stoker attach") && text.contains("being started again"))
    }

    @Test("Words that do not fit go on below, indented alike")
    func wrapping() {
        #expect(TextTable.wrapped("note: one two three", width: 12) == ["note: one", "  two three"])
        #expect(TextTable.wrapped("    abc defgh", width: 9) == ["    abc", "    defgh"])
        #expect(TextTable.wrapped("abcdefgh", width: 5) == ["abcde", "  fgh"])
        #expect(TextTable.wrapped("", width: 5) == [""] && TextTable.wrapped("as it is", width: nil) == ["as it is"])
    }

    @Test("Spans and times")
    func times() {
        #expect(WallClock.span(-4) == "0s")
        #expect(WallClock.span(59.4) == "59s")
        #expect(WallClock.span(3600) == "1h0m")
        #expect(WallClock.seconds(of: "1970-01-02T00:00:01.250Z") == 86_401)
        #expect(WallClock.seconds(of: "yesterday") == nil)
        #expect(WallClock.timeOfDay.count == 8)
    }

    @Test("What a waiting command shows")
    func progress() {
        #expect(
            ProgressDisplay.line(of: ["chat"], in: Self.report, withPercent: true)
                == "chat-0 ready, chat-1 loading 43 %")
        #expect(ProgressDisplay.line(of: ["chat-1"], in: Self.report, withPercent: false) == "chat-1 loading")
        #expect(ProgressDisplay.line(of: ["nobody"], in: Self.report, withPercent: true) == nil)
    }
}
