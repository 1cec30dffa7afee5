import CLinux
import Fleet
import Logging
import NIOCore
import NIOPosix

/// The registry's Unix socket: gateways dial it, say who they are, and are sent snapshots.
///
/// The socket's mode is 0600, and the pid a gateway claims must be that of the socket's peer: keys travel here.
public struct RegistryServer: Sendable {
    /// The socket's path.
    public let path: String
    private let registry: Registry
    private let logger: Logger
    private let listener: NIOAsyncChannel<NIOAsyncChannel<ByteBuffer, ByteBuffer>, Never>

    /// Listens on a path; a socket file that an earlier life left there is replaced.
    public init(path: String, registry: Registry, logger: Logger) async throws {
        self.path = path
        self.registry = registry
        self.logger = logger
        listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
        chmod(path, 0o600)
    }

    /// Serves gateways until the task is cancelled.
    public func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { connections in
                for try await connection in connections {
                    group.addTask { await serve(connection) }
                }
            }
        }
    }

    private func serve(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
        var connected: (pid: Int32, number: Int)?
        do {
            let pid = try await Self.peerPID(of: connection.channel)
            let (messages, outbox) = AsyncStream.makeStream(of: SupervisorMessage.self)
            try await connection.executeThenClose { inbound, outbound in
                try await withThrowingTaskGroup { group in
                    group.addTask {
                        for await message in messages {
                            try await outbound.write(ByteBuffer(bytes: FrameCodec.encode(message)))
                        }
                    }
                    var codec = FrameCodec()
                    for try await buffer in inbound {
                        codec.append(buffer.readableBytesView)
                        while let message = try codec.next(GatewayMessage.self) {
                            if case .hello(let hello) = message {
                                guard hello.pid == pid else { throw Refusal.pidMismatch(claimed: hello.pid, peer: pid) }
                                connected = (pid, await registry.gatewayConnected(hello, outbox: outbox))
                            } else if connected != nil {
                                await registry.gatewaySaid(message, pid: pid)
                            }
                        }
                    }
                    outbox.finish()
                    group.cancelAll()
                }
            }
        } catch {
            logger.debug("a gateway's connection ended", metadata: ["error": "\(error)"])
        }
        if let connected {
            await registry.gatewayDisconnected(pid: connected.pid, connection: connected.number)
        }
    }

    private enum Refusal: Error {
        case pidMismatch(claimed: Int32, peer: Int32)
        case noPeer
    }

    private static func peerPID(of channel: any Channel) async throws -> Int32 {
        guard let provider = channel as? any SocketOptionProvider else { throw Refusal.noPeer }
        let credentials: stoker_peer_t = try await provider.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        ).get()
        return credentials.pid
    }
}
