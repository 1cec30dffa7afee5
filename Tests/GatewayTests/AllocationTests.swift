import CAllocations
import CLinux
import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// What the loop allocates on a request's way, counted through the running loop: the budget is checked in, because
/// counts hold where times wander. More than the budget is a bug, or a reason to change it here and say why.
@Suite(.serialized) struct AllocationTests {
    /// Allocations for a request and its plain answer, once pools and tables have their size. Two in builds without
    /// optimisation, which box what the optimiser keeps in registers.
    static let perRequest = _isDebugAssertConfiguration() ? 2 : 0
    /// Allocations beside these where each request makes a line of an access log.
    static let perLine = _isDebugAssertConfiguration() ? 1 : 0
    /// Allocations for a chunk of a stream.
    static let perChunk = 0
    /// Allocations beside these in the whole of a test: the lines of an access log that nobody takes away grow.
    static let growth = 24
    /// What costs something to have on, all of it: places are counted, requests may wait, each makes a line of the log.
    /// Measurements are always on.
    private static func everything(_ settings: inout GatewaySettings) {
        settings.streamsPerInstance = 64
        settings.queueLength = 16
        settings.accessLog = "stderr"
        settings.corsOrigins = ["https://chat.example"]
    }
    /// A route of each dialect, and what makes its requests' bodies whole.
    static let routes = [
        ("/v1/chat/completions", ""), ("/v1/messages", #","max_tokens":16"#), ("/v1/responses", #","store":false"#),
    ]

    /// A loop on a thread whose allocations are counted.
    private final class WatchedLoop: @unchecked Sendable {
        let port: UInt16
        private let descriptor: Int32
        private let orders = LoopPort()
        private let done = DispatchSemaphore(value: 0)
        private var directory = RunDirectory(loops: 1)

        init(_ snapshot: RegistrySnapshot) {
            signal(SIGPIPE, SIG_IGN)
            (descriptor, port) = listenOnLoopback(isBlocking: false)
            let shared = Shared(
                controlWake: eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC)), loopWakes: [orders.wake])
            let loop = EventLoop(
                index: 0, shared: shared, port: orders,
                listeners: [.init(descriptor: descriptor, name: "127.0.0.1:\(port)")], connectionLimit: 100)
            let table = RoutingTableBuilder.build(snapshot, serial: 1, directory: &directory, number: { _ in 1 })
            orders.order { $0.table = table }
            Thread.detachNewThread { [done] in
                allocations_watch_this_thread()
                loop.run()
                loop.destroy()
                done.signal()
            }
        }

        func stop() {
            orders.order { $0.stop = true }
            done.wait()
            close(descriptor)
        }
    }

    /// What the loop allocates while `work` is done; nil where nothing can be counted.
    private static func allocations(_ work: () -> Void) -> Int? {
        let before = allocations_count()
        work()
        return before < 0 ? nil : allocations_count() - before
    }

    private static let body =
        #"{"messages":[{"role":"user","content":"Say\nhello, \"world\" — é."}],"model":"vllm/org/m","n":1"#
    private static let fields =
        "User-Agent: a/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nX-Stainless-Lang: python\r\n"
        + "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"

    @Test(arguments: routes, [false, true])
    func aRequestAllocatesNothing(_ route: (path: String, more: String), isAllOn: Bool) {
        let upstream = UpstreamStub { peer, _ in
            while peer.readMessage() != nil {
                peer.write(
                    "HTTP/1.1 200 OK\r\ndate: now\r\nserver: uvicorn\r\ncontent-type: application/json\r\n"
                        + "content-length: 64\r\n\r\n" + #"{"usage":{"input_tokens":7,"output_tokens":5}}"#
                        + String(repeating: " ", count: 18))
            }
        }
        let loop = WatchedLoop(
            fleet(
                settings: { if isAllOn { Self.everything(&$0) } },
                [("vllm", [instance("vllm-0", upstream.port, ["org/m"])])]))
        defer {
            loop.stop()
            upstream.stop()
        }
        let client = Peer.connect(loop.port)
        func ask(_ count: Int) {
            for _ in 0..<count {
                client.write(post(route.path, Self.body + route.more + "}", Self.fields))
                #expect(client.readMessage()?.head.hasPrefix("HTTP/1.1 200") == true)
            }
        }
        ask(50)
        guard let counted = Self.allocations({ ask(500) }) else { return }
        let budget = 500 * (Self.perRequest + (isAllOn ? Self.perLine : 0)) + Self.growth
        #expect(counted <= budget, "\(counted) allocations for 500 requests")
    }

    @Test(arguments: routes, [false, true])
    func aChunkAllocatesNothing(_ route: (path: String, more: String), isAllOn: Bool) {
        let next = DispatchSemaphore(value: 0)
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            peer.write(streamHead + chunk(tokenEvent("first")))
            while next.wait(timeout: .now() + 5) == .success, peer.write(chunk(tokenEvent(" token"))) {}
        }
        let loop = WatchedLoop(
            fleet(
                settings: { if isAllOn { Self.everything(&$0) } },
                [("vllm", [instance("vllm-0", upstream.port, ["org/m"])])]))
        defer {
            loop.stop()
            upstream.stop()
        }
        let client = Peer.connect(loop.port)
        client.write(post(route.path, Self.body + route.more + #","stream":true}"#, Self.fields))
        #expect(client.read(until: "first")?.hasPrefix("HTTP/1.1 200") == true)
        // One by one, so that each is a turn of the loop.
        func take(_ count: Int) {
            for _ in 0..<count {
                next.signal()
                #expect(client.read(until: " token") != nil)
            }
        }
        take(50)
        guard let counted = Self.allocations({ take(500) }) else { return }
        #expect(counted <= 500 * Self.perChunk, "\(counted) allocations for 500 chunks")
    }
}
