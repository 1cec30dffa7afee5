import Fleet
import Foundation
import Testing

@testable import Gateway

/// Limits per instance, and waiting for a place.
@Suite(.serialized) struct QueueTests {
    /// A server that holds each answer until it is let go, and knows how many it held at a time.
    private final class Gate: @unchecked Sendable {
        let arrived = DispatchSemaphore(value: 0)
        let go = DispatchSemaphore(value: 0)
        private let lock = NSLock()
        private var present = 0
        private(set) var most = 0

        func pass(_ work: () -> Void) {
            lock.withLock {
                present += 1
                most = max(most, present)
            }
            arrived.signal()
            work()
            lock.withLock { present -= 1 }
        }

        func upstream(pause: Double? = nil) -> UpstreamStub {
            UpstreamStub { peer, _ in
                while peer.readMessage() != nil {
                    self.pass {
                        if let pause {
                            Thread.sleep(forTimeInterval: pause)
                        } else {
                            _ = self.go.wait(timeout: .now() + 10)
                        }
                    }
                    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                }
            }
        }
    }

    private static let request = post("/v1/chat/completions", #"{"model":"m"}"#)

    private static func limited(
        _ port: UInt16, streams: Int, queue: Int, timeout: Int = 10_000, loops: Int = 1
    ) -> RunningGateway {
        RunningGateway(
            fleet(
                settings: {
                    $0.streamsPerInstance = streams
                    $0.queueLength = queue
                    $0.queueTimeoutMilliseconds = timeout
                }, [("a", [instance("a-0", port, ["m"])])]), loops: loops)
    }

    /// Whether so many wait, by a report that comes from now on.
    private static func queue(of gateway: RunningGateway, reaches depth: UInt64) -> Bool {
        gateway.registry.forget()
        return gateway.registry.wait {
            if case .report(let report) = $0, report.counters["queue_depth:a"] == depth { true } else { nil }
        } ?? false
    }

    @Test func whoseInstanceDiesWaitsForAnothersPlace() throws {
        let gate = Gate()
        let healthy = gate.upstream()
        let arrived = DispatchSemaphore(value: 0)
        let die = DispatchSemaphore(value: 0)
        let dying = UpstreamStub { peer, _ in
            guard peer.readMessage() != nil else { return }
            arrived.signal()
            _ = die.wait(timeout: .now() + 10)
        }
        let gateway = RunningGateway(
            fleet(
                settings: {
                    $0.streamsPerInstance = 1
                    $0.queueLength = 4
                    $0.queueTimeoutMilliseconds = 20_000
                }, [("a", [instance("a-0", dying.port, ["m"]), instance("a-1", healthy.port, ["m"])])]))
        defer { gateway.stop() }
        let clients = [gateway.client(), gateway.client()]
        for client in clients { client.write(Self.request) }
        #expect(arrived.wait(timeout: .now() + 5) == .success)
        #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
        die.signal()
        #expect(Self.queue(of: gateway, reaches: 1))
        for _ in clients { gate.go.signal() }
        for client in clients {
            let reply = try #require(client.readMessage())
            #expect(reply.status == 200 && reply.text == "ok", "\(reply.text)")
        }
        #expect(gate.most == 1)
    }

    @Test func withoutAQueueTheLimitIs429() throws {
        let gate = Gate()
        let upstream = gate.upstream()
        let gateway = Self.limited(upstream.port, streams: 1, queue: 0)
        defer { gateway.stop() }
        let first = gateway.client()
        first.write(Self.request)
        #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
        for request in [Self.request, post("/p/a/tokenize", #"{"model":"m"}"#)] {
            let reply = try #require(gateway.ask(request))
            #expect(reply.status == 429)
            #expect(reply.text.contains("\"queue_full\""))
            #expect(reply.field("retry-after") == "1")
        }
        gate.go.signal()
        #expect(first.readMessage()?.status == 200)
    }

    @Test func whoWaitsIsServedInOrder() throws {
        let gate = Gate()
        let upstream = gate.upstream()
        let gateway = Self.limited(upstream.port, streams: 1, queue: 2, loops: 2)
        defer { gateway.stop() }
        let clients = (0..<3).map { _ in gateway.client() }
        for (index, client) in clients.enumerated() {
            client.write(Self.request)
            if index == 0 {
                #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
            } else {
                #expect(Self.queue(of: gateway, reaches: UInt64(index)))
            }
        }
        let fourth = try #require(gateway.ask(Self.request))
        #expect(fourth.status == 429)
        for client in clients {
            gate.go.signal()
            #expect(client.readMessage()?.status == 200)
        }
        #expect(gate.most == 1)
    }

    @Test func waitingEndsAfterATime() throws {
        let gate = Gate()
        let upstream = gate.upstream()
        let gateway = Self.limited(upstream.port, streams: 1, queue: 5, timeout: 200)
        defer { gateway.stop() }
        let first = gateway.client()
        first.write(Self.request)
        #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
        for request in [Self.request, post("/p/a/v1/completions", #"{"model":"m"}"#)] {
            let client = gateway.client()
            client.write(request)
            let reply = try #require(client.readMessage())
            #expect(reply.status == 503)
            #expect(reply.text.contains("\"queue_timeout\""))
            #expect(reply.field("retry-after") != nil)
            // The connection goes on.
            client.write(get("/health"))
            #expect(client.readMessage()?.status == 200)
        }
        gate.go.signal()
        #expect(first.readMessage()?.status == 200)
    }

    @Test func whoLeavesGivesUpItsPlaceInTheQueue() throws {
        let gate = Gate()
        let upstream = gate.upstream()
        let gateway = Self.limited(upstream.port, streams: 1, queue: 1, loops: 2)
        defer { gateway.stop() }
        let first = gateway.client()
        first.write(Self.request)
        #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
        let leaving = gateway.client()
        leaving.write(Self.request)
        #expect(Self.queue(of: gateway, reaches: 1))
        leaving.close()
        #expect(Self.queue(of: gateway, reaches: 0))
        let next = gateway.client()
        next.write(Self.request)
        #expect(Self.queue(of: gateway, reaches: 1))
        gate.go.signal()
        #expect(first.readMessage()?.status == 200)
        gate.go.signal()
        #expect(next.readMessage()?.status == 200)
    }

    @Test func anotherTableFreesWhoWaits() throws {
        let gate = Gate()
        let upstream = gate.upstream()
        let echo = UpstreamStub.echo()
        let gateway = Self.limited(upstream.port, streams: 1, queue: 9)
        defer { gateway.stop() }
        let first = gateway.client()
        first.write(Self.request)
        #expect(gate.arrived.wait(timeout: .now() + 5) == .success)
        let second = gateway.client()
        second.write(Self.request)
        let third = gateway.client()
        third.write(post("/v1/completions", #"{"model":"a/m"}"#))
        #expect(Self.queue(of: gateway, reaches: 2))
        gateway.registry.publish(
            fleet(
                revision: 2,
                settings: {
                    $0.streamsPerInstance = 1
                    $0.queueLength = 9
                }, [("b", [instance("b-0", echo.port, ["m"])])]))
        let reply = try #require(second.readMessage())
        #expect(reply.field("x-stoker-instance") == "b-0")
        #expect(try #require(third.readMessage()).status == 404)
        gate.go.signal()
        #expect(first.readMessage()?.status == 200)
    }

    @Test func manyShareFewPlaces() throws {
        let gate = Gate()
        let upstream = gate.upstream(pause: 0.004)
        let gateway = Self.limited(upstream.port, streams: 3, queue: 100, loops: 2)
        defer { gateway.stop() }
        let good = LockedCount()
        let ended = DispatchGroup()
        for _ in 0..<40 {
            ended.enter()
            Thread.detachNewThread {
                let client = gateway.client()
                for _ in 0..<5 {
                    client.write(Self.request)
                    if client.readMessage()?.status == 200 { good.add(1) }
                }
                ended.leave()
            }
        }
        #expect(ended.wait(timeout: .now() + 20) == .success)
        #expect(good.value == 200)
        #expect(gate.most <= 3)
    }
}
