import CLinux
import Fleet
import Foundation
import Glibc

@testable import Gateway

/// The supervisor's end of the registry, and a worker on a thread of its own that routes by it.
final class RegistryStub: @unchecked Sendable {
    let path: String
    private let descriptor: Int32
    private let condition = NSCondition()
    private var peers: [Int32] = []
    private var messages: [GatewayMessage] = []
    private var current: RegistrySnapshot?

    init(_ snapshot: RegistrySnapshot?) {
        path = NSTemporaryDirectory() + "r\(UInt64.random(in: 0..<UInt64.max)).sock"
        current = snapshot
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let address = SocketAddress.bytes(of: .unix(path: path))
        let status = address.withUnsafeBytes {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        precondition(status == 0)
        listen(descriptor, 8)
        Thread.detachNewThread { [self, descriptor] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                if accepted < 0 { return }
                condition.lock()
                peers.append(accepted)
                if let current { Self.send(.snapshot(current), accepted) }
                condition.unlock()
                Thread.detachNewThread { self.read(accepted) }
            }
        }
    }

    deinit { stop() }

    func stop() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        unlink(path)
    }

    private static func send(_ message: SupervisorMessage, _ descriptor: Int32) {
        guard let frame = try? FrameCodec.encode(message) else { return }
        _ = frame.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func read(_ peer: Int32) {
        var codec = FrameCodec()
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = recv(peer, &chunk, chunk.count, 0)
            if got <= 0 { break }
            codec.append(chunk[0..<got])
            condition.lock()
            while let message = try? codec.next(GatewayMessage.self) { messages.append(message) }
            condition.broadcast()
            condition.unlock()
        }
        condition.lock()
        peers.removeAll { $0 == peer }
        messages.append(.applied(SnapshotVersion(epoch: 0, revision: 0)))
        condition.broadcast()
        condition.unlock()
        close(peer)
    }

    func publish(_ snapshot: RegistrySnapshot) {
        condition.lock()
        current = snapshot
        for peer in peers { Self.send(.snapshot(snapshot), peer) }
        condition.unlock()
    }

    func send(_ message: SupervisorMessage) {
        condition.lock()
        for peer in peers { Self.send(message, peer) }
        condition.unlock()
    }

    /// Cuts the worker's connection.
    func hangUp() {
        condition.lock()
        for peer in peers { shutdown(peer, Int32(SHUT_RDWR)) }
        condition.unlock()
    }

    /// Forgets what came.
    func forget() {
        condition.lock()
        messages = []
        condition.unlock()
    }

    /// The first message, come or to come, that gives something; nil after the deadline.
    func wait<Found>(seconds: Double = 5, _ pick: (GatewayMessage) -> Found?) -> Found? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        condition.lock()
        defer { condition.unlock() }
        var looked = 0
        while true {
            while looked < messages.count {
                if let found = pick(messages[looked]) { return found }
                looked += 1
            }
            if !condition.wait(until: deadline) { return nil }
            looked = min(looked, messages.count)
        }
    }

    func waitForApplied(_ version: SnapshotVersion) -> Bool {
        wait { if case .applied(version) = $0 { true } else { nil } } ?? false
    }
}

/// A worker under test.
final class RunningGateway: @unchecked Sendable {
    let port: UInt16
    let registry: RegistryStub
    private let descriptor: Int32
    private let stopper: Int32
    private let condition = NSCondition()
    private var status: Int32?

    init(
        _ snapshot: RegistrySnapshot?, loops: Int = 1, listener: GatewayOptions.Listener? = nil,
        patience: Patience = Patience()
    ) {
        signal(SIGPIPE, SIG_IGN)
        registry = RegistryStub(snapshot)
        let bound = listener.map { ($0.descriptor, UInt16(0)) } ?? listenOnLoopback(isBlocking: false)
        (descriptor, port) = bound
        stopper = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        var options = GatewayOptions(
            registryPath: registry.path,
            listeners: [listener ?? .init(descriptor: descriptor, name: "127.0.0.1:\(port)")],
            loops: loops, build: "test")
        options.patience = patience
        Thread.detachNewThread { [self, stopper, options] in
            let status = GatewayControl(options, stop: stopper).run()
            condition.lock()
            self.status = status
            condition.broadcast()
            condition.unlock()
        }
        if let snapshot { precondition(registry.waitForApplied(snapshot.version)) }
    }

    /// Ends the worker and waits for it.
    func stop() {
        Shared.signal(stopper)
        _ = waitForExit()
        registry.stop()
        close(descriptor)
        close(stopper)
    }

    func waitForExit(seconds: Double = 5) -> Int32? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        condition.lock()
        defer { condition.unlock() }
        while status == nil { if !condition.wait(until: deadline) { return nil } }
        return status
    }

    func client(receiveBuffer: Int32 = 0) -> Peer { Peer.connect(port, receiveBuffer: receiveBuffer) }

    /// One request on a connection of its own.
    func ask(_ request: String) -> Message? {
        let client = client()
        client.write(request)
        return client.readMessage()
    }
}

/// A snapshot in few words: providers with instances with ports and models.
func fleet(
    revision: UInt64 = 1, epoch: UInt64 = 1, key: String? = "mk",
    settings change: (inout GatewaySettings) -> Void = { _ in },
    _ providers: [(
        name: String, instances: [(name: String, run: UInt64, port: UInt16, models: [String], published: Bool)]
    )]
) -> RegistrySnapshot {
    var settings = GatewaySettings(masterKey: key.map { Secret($0) }, ready: true, readyReason: "ready")
    change(&settings)
    return RegistrySnapshot(
        epoch: epoch, revision: revision, settings: settings,
        providers: providers.map { provider in
            ProviderEntry(
                name: provider.name, knownModels: ["known/one"], settled: true, reason: "loading 43 %", loading: true,
                instances: provider.instances.map { instance in
                    InstanceEntry(
                        run: InstanceRun(instance: instance.name, run: instance.run),
                        endpoint: Endpoint(
                            address: .tcp(ip: "127.0.0.1", port: instance.port), host: "up.example:1"),
                        apiKey: Secret("upstream-key"), state: instance.published ? .ready : .draining,
                        published: instance.published, models: instance.models.map { ModelCard(id: $0) })
                })
        })
}

/// One instance of a provider.
func instance(
    _ name: String, _ port: UInt16, _ models: [String], run: UInt64 = 1, published: Bool = true
) -> (name: String, run: UInt64, port: UInt16, models: [String], published: Bool) {
    (name, run, port, models, published)
}

/// A request with a JSON body.
func post(_ path: String, _ body: String, _ fields: String = "", key: String? = "mk") -> String {
    let authorization = key.map { "Authorization: Bearer \($0)\r\n" } ?? ""
    return "POST \(path) HTTP/1.1\r\nHost: localhost\r\n\(authorization)Content-Type: application/json\r\n\(fields)"
        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

/// A request without a body.
func get(_ path: String, _ fields: String = "", method: String = "GET", key: String? = "mk") -> String {
    let authorization = key.map { "Authorization: Bearer \($0)\r\n" } ?? ""
    return "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(authorization)\(fields)\r\n"
}
