import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// The worker's dealings with its supervisor.
@Suite(.serialized) struct RegistryTests {
    @Test func greetsAndConfirms() throws {
        let gateway = RunningGateway(fleet([]), loops: 2)
        defer { gateway.stop() }
        let hello = try #require(gateway.registry.wait { if case .hello(let hello) = $0 { hello } else { nil } })
        #expect(hello.pid == getpid())
        #expect(hello.loops == 2)
        #expect(hello.build == "test")
        #expect(hello.listeners == ["127.0.0.1:\(gateway.port)"])
        #expect(hello.applied == nil)
        let report = try #require(gateway.registry.wait { if case .report(let report) = $0 { report } else { nil } })
        #expect(report.loopHeartbeats.count == 2)
    }

    @Test func acceptsNothingBeforeTheFirstSnapshot() throws {
        let gateway = RunningGateway(nil)
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(get("/health"))
        #expect(gateway.registry.wait(seconds: 0.3) { if case .applied = $0 { true } else { nil } } == nil)
        gateway.registry.publish(fleet([]))
        #expect(client.readMessage()?.status == 200)
    }

    @Test func switchesToNewerSnapshotsOnly() throws {
        let first = UpstreamStub.echo()
        let second = UpstreamStub.echo()
        let gateway = RunningGateway(fleet(revision: 5, [("a", [instance("a-0", first.port, ["m"])])]), loops: 2)
        defer { gateway.stop() }
        func served(_ model: String) -> Int? {
            gateway.ask(post("/v1/completions", "{\"model\":\"\(model)\"}"))?.status
        }
        #expect(served("m") == 200)
        gateway.registry.publish(fleet(revision: 4, [("a", [instance("a-0", first.port, ["old"])])]))
        gateway.registry.publish(fleet(revision: 6, [("a", [instance("a-0", first.port, ["n"])])]))
        #expect(gateway.registry.waitForApplied(SnapshotVersion(epoch: 1, revision: 6)))
        #expect(served("m") == 404)
        #expect(served("old") == 404)
        #expect(served("n") == 200)
        // A new supervisor wins whatever its revision, and a gateway without one goes on.
        gateway.registry.hangUp()
        #expect(served("n") == 200)
        gateway.registry.publish(fleet(revision: 1, epoch: 2, [("b", [instance("b-0", second.port, ["o"])])]))
        #expect(gateway.registry.waitForApplied(SnapshotVersion(epoch: 2, revision: 1)))
        #expect(served("n") == 404)
        #expect(served("o") == 200)
        let greeted = gateway.registry.wait {
            if case .hello(let hello) = $0, hello.applied?.revision == 6 { true } else { nil }
        }
        #expect(greeted == true)
    }

    @Test func reportsAtOnceWhenADrainedRunIsIdle() throws {
        let gate = DispatchSemaphore(value: 0)
        let asked = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk(roleEvent) + chunk(tokenEvent("a")))
            asked.signal()
            gate.wait()
            peer.write("0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(asked.wait(timeout: .now() + 5) == .success)
        #expect(client.read(until: tokenEvent("a")) != nil)
        gateway.registry.publish(
            fleet(revision: 2, [("a", [instance("a-0", upstream.port, ["m"], published: false)])]))
        #expect(gateway.registry.waitForApplied(SnapshotVersion(epoch: 1, revision: 2)))
        let busy = gateway.registry.wait {
            if case .report(let report) = $0, report.applied?.revision == 2, report.runs.first?.inflight == 1 {
                report
            } else {
                nil
            }
        }
        #expect(busy?.inflight == 1)
        #expect(busy?.runs.first?.lastByte != nil)
        let unserved = gateway.ask(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(unserved?.status == 503)
        #expect(unserved?.text.contains("model_loading") == true)
        gateway.registry.forget()
        let ended = Date()
        gate.signal()
        let idle = gateway.registry.wait {
            if case .report(let report) = $0, report.runs.first?.inflight == 0 { true } else { nil }
        }
        #expect(idle == true)
        #expect(Date().timeIntervalSince(ended) < 0.2)
    }

    @Test func aResponseIsAskedOfItsMakerThoughThatDrains() throws {
        let maker = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"id\":\"resp_1\"}")
            }
        }
        let other = UpstreamStub { peer, _ in
            while peer.readMessage() != nil { peer.write("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno") }
        }
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", maker.port, ["m"])]), ("b", [instance("b-0", other.port, ["n"])])]))
        defer { gateway.stop() }
        #expect(gateway.ask(post("/v1/responses", #"{"model":"m","input":"x"}"#))?.status == 200)
        #expect(gateway.ask(get("/v1/responses/resp_1"))?.status == 200)
        gateway.registry.publish(
            fleet(
                revision: 2,
                [
                    ("a", [instance("a-0", maker.port, ["m"], published: false)]),
                    ("b", [instance("b-0", other.port, ["n"])]),
                ]))
        #expect(gateway.registry.waitForApplied(SnapshotVersion(epoch: 1, revision: 2)))
        #expect(gateway.ask(get("/v1/responses/resp_1"))?.status == 200)
        #expect(gateway.ask(get("/v1/responses/resp_2"))?.status == 404)
    }

    @Test func whatContinuesAResponseIsTriedNowhereButAtItsMaker() throws {
        let maker = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"id\":\"resp_1\"}")
            while peer.readMessage() != nil {
                peer.write("HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy")
            }
        }
        let other = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet([
                ("a", [instance("a-0", maker.port, ["m"])]), ("b", [instance("b-0", other.port, ["m"])]),
            ]))
        defer { gateway.stop() }
        #expect(gateway.ask(post("/v1/responses", #"{"model":"a/m","input":"x"}"#))?.status == 200)
        let reply = gateway.ask(
            post("/v1/responses", #"{"model":"m","input":"y","previous_response_id":"resp_1"}"#))
        #expect(reply?.status == 503 && reply?.field("retry-after") == "7", "\(reply?.text ?? "-")")
    }

    @Test func aStreamThatIsPassedThroughWaitsForItsFirstByte() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead)
            Thread.sleep(forTimeInterval: 1)
            peer.write(chunk(tokenEvent("a")) + "0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(
            fleet(
                settings: { $0.streamIdleTimeoutMilliseconds = 300 }, [("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(post("/p/a/chat/completions", #"{"model":"m"}"#)))
        #expect(reply.text == tokenEvent("a"))
    }

    @Test func countsByWhatIsConfigured() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        for model in ["m", "a/m", "a-0/m", "invented-1", "invented-2"] {
            _ = gateway.ask(post("/v1/completions", "{\"model\":\"\(model)\"}"))
        }
        let report = gateway.registry.wait {
            if case .report(let report) = $0, report.requestsTotal == 5 { report } else { nil }
        }
        let requests = try #require(report?.requests)
        #expect(requests.contains(RequestCount(provider: "a", route: "/v1/completions", status: 200, count: 3)))
        #expect(requests.contains(RequestCount(provider: "-", route: "/v1/completions", status: 404, count: 2)))
        #expect(requests.count == 2)
        #expect(report?.inflight == 0)
    }

    @Test func retiresWhenItsStreamsAreOver() throws {
        let gate = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk(tokenEvent("a")))
            gate.wait()
            peer.write("0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let kept = gateway.client()
        kept.write(get("/health"))
        #expect(kept.readMessage()?.field("connection") == nil)
        let stream = gateway.client()
        stream.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(stream.read(until: tokenEvent("a")) != nil)
        gateway.registry.send(.retire(deadlineMilliseconds: 60_000))
        var last: Message?
        repeat {
            kept.write(get("/health"))
            last = kept.readMessage()
        } while last != nil && last?.field("connection") == nil
        #expect(last?.field("connection") == "close")
        #expect(kept.waitForEnd())
        #expect(gateway.waitForExit(seconds: 0.2) == nil)
        gate.signal()
        #expect(stream.read(until: "0\r\n\r\n") != nil)
        #expect(gateway.waitForExit() == 0)
    }

    @Test func retirementCutsAtItsDeadline() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk(tokenEvent("a")))
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let stream = gateway.client()
        stream.write(post("/v1/chat/completions", #"{"model":"m"}"#))
        #expect(stream.read(until: tokenEvent("a")) != nil)
        gateway.registry.send(.retire(deadlineMilliseconds: 300))
        #expect(gateway.waitForExit() == 0)
        #expect(stream.waitForEnd())
    }
}
