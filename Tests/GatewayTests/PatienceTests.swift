import Fleet
import Foundation
import Testing

@testable import Gateway

/// Clients that do not go on are told so or left; streams that go on have no limit.
@Suite(.serialized) struct PatienceTests {
    private static func short(_ milliseconds: UInt64) -> Patience {
        var patience = Patience()
        patience.head = milliseconds * 1_000_000
        patience.body = milliseconds * 1_000_000
        patience.idle = milliseconds * 1_000_000
        return patience
    }

    @Test func aHeadThatIsNotFinishedIs408() throws {
        let gateway = RunningGateway(fleet([]), patience: Self.short(300))
        defer { gateway.stop() }
        let client = gateway.client()
        // The request before it is forgotten: its length, its method and its id.
        client.write(get("/health", "x-request-id: before\r\n", method: "HEAD", key: nil))
        #expect(client.read(until: "\r\n\r\n")?.contains("before") == true)
        client.write("POST /v1/messages HTTP/1.1\r\nHost: h\r\nX-Long: \(String(repeating: "x", count: 500))")
        let reply = try #require(client.readMessage())
        #expect(reply.status == 408)
        #expect(reply.text.contains("request_timeout") && reply.text.hasPrefix(#"{"type":"error""#))
        #expect(reply.field("connection") == "close")
        #expect(reply.field("x-request-id") != "before")
        #expect(client.waitForEnd())
    }

    @Test func aBodyThatIsNotFinishedIs408() throws {
        let gateway = RunningGateway(fleet([]), patience: Self.short(300))
        defer { gateway.stop() }
        for request in [
            String(post("/v1/completions", #"{"model":"m"}"#).dropLast(3)),
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\nTransfer-Encoding: chunked\r\n"
                + "Content-Type: multipart/form-data; boundary=XX\r\n\r\n" + chunk("--XX\r\n"),
        ] {
            let client = gateway.client()
            client.write(request)
            let reply = try #require(client.readMessage())
            #expect(reply.status == 408)
            #expect(reply.field("connection") == "close")
            #expect(client.waitForEnd())
        }
    }

    @Test func anIdleConnectionIsClosed() throws {
        let gateway = RunningGateway(fleet([]), patience: Self.short(300))
        defer { gateway.stop() }
        let silent = gateway.client()
        let kept = gateway.client()
        kept.write(get("/health", key: nil))
        #expect(kept.readMessage()?.status == 200)
        #expect(kept.waitForEnd())
        #expect(silent.waitForEnd())
    }

    /// Every limit is far shorter than the stream, but the one for its silence.
    @Test func aStreamOutlastsEveryLimit() throws {
        let upstream = UpstreamStub { peer, _ in
            guard peer.readMessage() != nil else { return }
            peer.write(streamHead + chunk(roleEvent))
            for number in 0..<30 {
                Thread.sleep(forTimeInterval: 0.1)
                // Keep-alives, and a word now and then.
                peer.write(chunk(number % 10 == 9 ? tokenEvent("w") : ": alive\n\n"))
            }
            peer.write(chunk("data: [DONE]\n\n") + "0\r\n\r\n")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(
            fleet(
                settings: {
                    $0.connectTimeoutMilliseconds = 300
                    $0.firstByteTimeoutMilliseconds = 300
                    $0.slowReaderTimeoutMilliseconds = 300
                    $0.queueTimeoutMilliseconds = 300
                    $0.streamIdleTimeoutMilliseconds = 2500
                }, [("a", [instance("a-0", upstream.port, ["m"])])]), patience: Self.short(300))
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(post("/v1/chat/completions", #"{"model":"m","stream":true}"#)))
        #expect(reply.text.hasSuffix("data: [DONE]\n\n"))
        #expect(reply.text.components(separatedBy: ": alive\n\n").count == 28)
    }

    /// Twenty minutes and more by a clock of the test's own, with silences just short of the limit.
    @Test func twentyMinutesPassInTheWheel() throws {
        let second: UInt64 = 1_000_000_000
        let idle = 300 * second
        var slab = Slab<ClientConnection>()
        defer { slab.destroy() }
        let place = slab.take()
        let client = try #require(place)
        var now = 7 * second
        var wheel = TimerWheel(now: now)
        defer { wheel.destroy() }
        wheel.set(client, now + idle)
        let gaps: [UInt64] =
            [UInt64](repeating: second / 10, count: 100)
            + [299, 1, 15, 30, 75, 298, 60, 2, 299, 60, 120]
            .map { $0 * second }
        let end = now + gaps.reduce(0, +)
        #expect(end - now > 20 * 60 * second)
        for gap in gaps {
            let next = now + gap
            // The loop looks at least once a second.
            while now < next {
                now = min(next, now + second)
                let expired = wheel.expired(now: now)
                #expect(expired == nil)
            }
            wheel.set(client, now + idle)
        }
        var silence: UInt64 = 0
        while wheel.expired(now: now + silence) == nil, silence < 2 * idle { silence += second / 10 }
        #expect(silence >= idle && silence <= idle + second)
    }
}
