import Fleet
import Glibc
import Health
import Testing

@testable import Supervisor

/// docs/lifecycle.md is printed from the machines. `STOKER_WRITE_DOCS=1 swift test` writes it anew.
@Suite("The printed table of all states and events")
struct LifecycleTableTests {
    private static let models = LifecycleScript.models

    /// Every state of a launched instance, with the script that leads to it.
    private static let launched: [(name: String, script: LifecycleScript)] = {
        func make(lastRun: UInt64 = 0, _ steps: (inout LifecycleScript) -> Void) -> LifecycleScript {
            var script = LifecycleScript(lastRun: lastRun)
            steps(&script)
            _ = script.take()
            return script
        }
        return [
            ("stopped", make { _ in }),
            ("starting", make { $0.begin() }),
            ("starting, looking for an earlier life's run", make(lastRun: 1) { $0.begin() }),
            ("loading", make { $0.load() }),
            (
                "warming",
                make {
                    $0.load()
                    $0.feed(.health(1, .listening(models)))
                }
            ),
            (
                "warming, confirmation awaited",
                make {
                    $0.load()
                    $0.feed(.health(1, .listening(models)))
                    $0.feed(.health(1, .warm(models)))
                }
            ),
            (
                "warming, waiting for its turn to replace an earlier run",
                make(lastRun: 1) {
                    $0.feed(.standby)
                    $0.feed(.beginAnew)
                    $0.feed(.launched(2, pid: 100))
                    $0.feed(.health(2, .listening(models)))
                    $0.feed(.health(2, .warm(models)))
                }
            ),
            ("ready", make { $0.becomeReady() }),
            (
                "ready, about to be replaced",
                make {
                    $0.becomeReady()
                    $0.feed(.superseded)
                }
            ),
            (
                "stopped, its replacement awaited",
                make {
                    $0.becomeReady()
                    $0.feed(.superseded)
                    $0.crash()
                }
            ),
            (
                "unhealthy",
                make {
                    $0.becomeReady()
                    $0.feed(.health(1, .unhealthy("503")))
                }
            ),
            (
                "misconfigured",
                make {
                    $0.becomeReady()
                    $0.feed(.health(1, .misconfigured("401")))
                }
            ),
            (
                "draining, by the operator",
                make {
                    $0.becomeReady()
                    $0.feed(.command(.drain, waiter: 1))
                }
            ),
            (
                "draining, for a stop",
                make {
                    $0.becomeReady()
                    $0.feed(.command(.stop, waiter: 1))
                }
            ),
            (
                "stopping, told to end",
                make {
                    $0.load()
                    $0.feed(.command(.stop, waiter: 1))
                }
            ),
            (
                "stopping, being killed after a crash",
                make {
                    $0.becomeReady()
                    $0.feed(.exited(1, .code(1)))
                }
            ),
            (
                "backoff",
                make {
                    $0.becomeReady()
                    $0.crash()
                }
            ),
            (
                "failed",
                make {
                    $0.load()
                    $0.feed(.exited(1, .code(2)))
                    $0.clean(Postmortem(isPermanent: true))
                }
            ),
            (
                "quarantined",
                make {
                    $0.becomeReady()
                    $0.feed(.exited(1, .code(1)))
                    $0.pass(Lifecycle.killPatience)
                }
            ),
        ]
    }()

    private static func events(_ run: UInt64) -> [(name: String, event: Lifecycle.Event)] {
        [
            ("begin, wanted", .begin(wanted: true)),
            ("start", .command(.start, waiter: 9)), ("stop", .command(.stop, waiter: 9)),
            ("restart", .command(.restart, waiter: 9)), ("drain", .command(.drain, waiter: 9)),
            ("undrain", .command(.undrain, waiter: 9)), ("shutdown", .shutdown(waiter: 9)), ("hurry", .hurry),
            ("the launch waits", .waiting(run, "waits for memory of GPU 0")),
            ("launched", .launched(run, pid: 4711)),
            ("taken over, published", .adopted(run, pid: 4711, published: models)),
            ("taken over, not published", .adopted(run, pid: 4711, published: nil)),
            ("nothing to take over", .nothingToAdopt(run)),
            ("launch failed", .launchFailed(run, .transient(Fault(kind: "launch", detail: "no cgroup")))),
            (
                "launch failed for good",
                .launchFailed(run, .permanent(Fault(kind: "launch", detail: "no vllm"), hint: nil))
            ),
            ("launch put off", .launchFailed(run, .waiting("GPU 0 is held"))),
            ("launch cancelled", .launchFailed(run, .cancelled)),
            ("the head exits", .exited(run, .code(0))),
            ("an engine process dies", .engineDied(run, "VLLM::EngineCore")),
            ("the start stalls", .stalled(run, "nothing new")),
            ("health: listening", .health(run, .listening(models))), ("health: warm", .health(run, .warm(models))),
            ("health: healthy", .health(run, .healthy(models))),
            ("health: models changed", .health(run, .modelsChanged([ModelCard(id: "other")]))),
            ("health: unhealthy", .health(run, .unhealthy("503"))),
            ("health: unreachable", .health(run, .unreachable("refused"))),
            ("health: misconfigured", .health(run, .misconfigured("401"))),
            ("health: condemned", .health(run, .condemned("hung"))),
            ("the gateway confirms", .confirmed(run)), ("the gateway is drained", .drained(run)),
            ("the tree is gone", .cleaned(run, Postmortem())),
            ("the tree is gone, for a lasting reason", .cleaned(run, Postmortem(isPermanent: true))),
            ("a reload's rules", .rules(RestartConfiguration(), LaunchTimeouts())), ("its turn has come", .turn),
            ("another run is to replace it", .superseded), ("nothing replaces it", .reinstated(lastRun: run + 3)),
        ]
    }

    private static func words(_ action: Lifecycle.Action) -> String {
        switch action {
        case .record: return "record"
        case .launch(let run): return "launch run \(run)"
        case .adopt(let run): return "take over run \(run)"
        case .resumeHealth: return "go on with health"
        case .cancelLaunch: return "cancel the launch"
        case .beginHealth: return "begin health"
        case .endHealth: return "end health"
        case .terminate: return "SIGTERM, SIGCONT"
        case .endTree(_, nil): return "kill the tree"
        case .endTree(_, .some): return "save evidence, kill the tree"
        case .answer(_, nil): return "answer: done"
        case .answer(_, .refused): return "answer: refused"
        case .answer(_, .some): return "answer: failed"
        }
    }

    private static func words(_ action: AttachedLifecycle.Action) -> String {
        switch action {
        case .record: return "record"
        case .beginHealth(let run): return "begin health of run \(run)"
        case .endHealth: return "end health"
        case .resolve: return "resolve the name"
        case .answer(_, nil): return "answer: done"
        case .answer(_, .refused): return "answer: refused"
        case .answer(_, .some): return "answer: failed"
        }
    }

    private static func section(
        _ title: String, _ rows: [(event: String, state: String, published: Bool, actions: [String])]
    ) -> String {
        var text = "### \(title)\n\n| event | then | published | does |\n|---|---|---|---|\n"
        for row in rows where !row.actions.isEmpty {
            text +=
                "| \(row.event) | \(row.state) | \(row.published ? "yes" : "no") | \(row.actions.joined(separator: "; ")) |\n"
        }
        let silent = rows.filter { $0.actions.isEmpty }.map(\.event)
        if !silent.isEmpty { text += "\nNothing changes at: \(silent.joined(separator: ", ")).\n" }
        return text + "\n"
    }

    static func document() -> String {
        var text = """
            # The lifecycle of an instance

            Printed from the code by `LifecycleTableTests`; a test holds this page against it, and
            `STOKER_WRITE_DOCS=1 swift test --filter LifecycleTable` writes it anew.

            "Published" is what the gateway is told; `ready` is its confirmation. "record" is a new record for the
            registry, always before what follows it. Events that name another run than the present one change nothing,
            in any state. Every command is answered in the end: done, refused or failed.

            ## Launched


            """
        for (name, script) in launched {
            var rows = events(script.run).map { row -> (String, String, Bool, [String]) in
                var copy = script
                copy.feed(row.event)
                return (row.name, copy.state.rawValue, copy.machine.isOffered, copy.said.map(words))
            }
            if let wake = script.machine.nextWake {
                var copy = script
                copy.now = wake
                copy.feed(.tick)
                rows.append(
                    (
                        "its time is up (\(Int((wake - script.now).seconds)) s)", copy.state.rawValue,
                        copy.machine.isOffered, copy.said.map(words)
                    ))
            }
            text += section(name, rows)
        }
        text +=
            "## Attached\n\nNo action of this machine starts, signals or kills anything: its type has none that could.\n\n"
        for (name, machine) in attached {
            let rows = attachedEvents(machine.run).map { row -> (String, String, Bool, [String]) in
                var copy = machine
                let actions = copy.handle(row.event, at: start)
                return (row.name, copy.state.rawValue, copy.isOffered, actions.map(words))
            }
            text += section(name, rows)
        }
        while text.hasSuffix("\n\n") { text.removeLast() }
        return text
    }

    private static let start = Instant(nanoseconds: 1_000_000_000_000)

    private static let attached: [(name: String, machine: AttachedLifecycle)] = {
        func make(_ events: [AttachedLifecycle.Event]) -> AttachedLifecycle {
            var machine = AttachedLifecycle(instance: "vllm-test", at: start)
            for event in events { _ = machine.handle(event, at: start) }
            return machine
        }
        let ready: [AttachedLifecycle.Event] = [.begin, .addressed, .health(1, .warm(models)), .confirmed(1)]
        return [
            ("connecting", make([.begin, .addressed])),
            ("ready", make(ready)),
            ("unhealthy", make(ready + [.health(1, .unhealthy("503"))])),
            ("misconfigured", make(ready + [.health(1, .misconfigured("401"))])),
            ("draining, by the operator", make(ready + [.command(.drain, waiter: 1)])),
            ("draining, for the end", make(ready + [.shutdown(waiter: 1)])),
        ]
    }()

    private static func attachedEvents(_ run: UInt64) -> [(name: String, event: AttachedLifecycle.Event)] {
        [
            ("start", .command(.start, waiter: 9)), ("drain", .command(.drain, waiter: 9)),
            ("undrain", .command(.undrain, waiter: 9)), ("shutdown", .shutdown(waiter: 9)), ("hurry", .hurry),
            ("another address", .addressed), ("its name cannot be resolved", .unresolved("no such name")),
            ("health: listening", .health(run, .listening(models))), ("health: warm", .health(run, .warm(models))),
            ("health: healthy", .health(run, .healthy(models))),
            ("health: models changed", .health(run, .modelsChanged([ModelCard(id: "other")]))),
            ("health: unhealthy", .health(run, .unhealthy("503"))),
            ("health: unreachable", .health(run, .unreachable("refused"))),
            ("health: misconfigured", .health(run, .misconfigured("401"))),
            ("the gateway confirms", .confirmed(run)), ("the gateway is drained", .drained(run)),
        ]
    }

    @Test("docs/lifecycle.md is what the machines do")
    func documentIsCurrent() {
        // …/Tests/SupervisorTests/Lifecycle/LifecycleTableTests.swift
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let path = "/\(root)/docs/lifecycle.md"
        let text = Self.document()
        if getenv("STOKER_WRITE_DOCS") != nil {
            #expect(SystemFile.replace(path, with: Array(text.utf8), mode: 0o644) == nil)
        }
        let kept = SystemFile.text(path) ?? ""
        #expect(kept == text, "docs/lifecycle.md is old: STOKER_WRITE_DOCS=1 swift test --filter LifecycleTable")
    }

    @Test("every state of the vocabulary that a launched or attached instance can have is in the table")
    func allStates() {
        let shown = Set(Self.launched.map(\.script.state) + Self.attached.map(\.machine.state))
        #expect(shown == Set(InstanceState.allCases))
    }
}
