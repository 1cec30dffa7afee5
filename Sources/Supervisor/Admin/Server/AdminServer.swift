import Fleet
import Glibc
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// The admin side's server: dashboard, status, metrics and commands, on TCP and on the Unix socket in the runtime
/// directory. Off the request path, so an ordinary server on a thread of its own.
public actor AdminServer {
    /// Connections at one time, over all listeners; one more is closed at once.
    static let mostConnections = 512
    /// How long what is being answered may take once ``stop()`` is called.
    static let grace: Duration = .seconds(2)

    private let control: any DaemonControl
    private let token: CurrentAdminToken
    private let addresses: [ListenAddress]
    private let socketPath: String
    private let logger: Logger
    private let sessions = AdminSessions()
    private let connections = AdminConnections()
    private var group: MultiThreadedEventLoopGroup?
    private var listeners: [Task<Void, Never>] = []
    private var ends: AsyncStream<Void>?
    private var ended: AsyncStream<Void>.Continuation?
    private var socketFile: SocketFile?

    /// Where it listens, the Unix socket last; ports are the kernel's where 0 was asked for. Empty before ``start()``.
    public private(set) var boundAddresses: [ListenAddress] = []

    /// A server that does not listen yet.
    ///
    /// - Parameters:
    ///   - control: The daemon.
    ///   - token: What opens it where the address alone does not.
    ///   - addresses: `admin.listen`.
    ///   - socketPath: `admin.sock` in the runtime directory, which is there already. Needs no token.
    ///   - logger: For commands, refused logins and errors.
    public init(
        control: any DaemonControl, token: AdminToken, addresses: [ListenAddress], socketPath: String, logger: Logger
    ) {
        self.control = control
        self.token = CurrentAdminToken(token)
        self.addresses = addresses
        self.socketPath = socketPath
        self.logger = logger
    }

    /// Goes by another token from now on; who logged in with the one before has to log in again.
    func use(_ new: AdminToken) {
        guard token.become(new) else { return }
        sessions.endAll()
        logger.notice("the admin token is another one now; sessions have ended")
    }

    /// The descriptors that it listens by, the Unix socket's first: for a program that takes this one's place.
    private(set) var descriptors: [Int32] = []

    /// Waits, within bounds, until nothing is being answered but streams of events.
    func quiet(within patience: Duration) async {
        let deadline = Instant.now() + patience
        while connections.isAnswering, Instant.now() < deadline { try? await Task.sleep(for: .milliseconds(5)) }
    }

    /// Addresses that could not be had, each with why, where the server was started all the same.
    private(set) var missing: [(address: ListenAddress, reason: String)] = []

    /// Binds every address and serves from then on. All or nothing: when one cannot be had, the others are let go.
    ///
    /// - Parameters:
    ///   - inherited: Sockets that listen already, of the program that this one took the place of: clients that wait in
    ///     their queues are answered now.
    ///   - isPatient: Whether it serves on the Unix socket at least; ``retry()`` tries again for the other addresses.
    /// - Throws: An error whose description says which address cannot be had, why, and what to do.
    public func start(inherited: [Int32] = [], isPatient: Bool = false) async throws {
        precondition(group == nil, "an admin server starts once")
        var sockets: [ListeningSocket] = []
        var handedOver = inherited.compactMap { ListeningSocket(inherited: $0) }
        defer { for socket in handedOver { close(socket.descriptor) } }
        do {
            // The Unix socket first: another daemon in this runtime directory is the clearest thing to say.
            let all = [ListenAddress.unix(path: socketPath)] + addresses
            for address in all {
                if let index = handedOver.firstIndex(where: { $0.serves(address) }) {
                    sockets.append(handedOver.remove(at: index))
                    continue
                }
                do {
                    sockets.append(
                        try ListeningSocket.bind(
                            address, setting: address == all[0] ? "the runtime directory" : "admin.listen"))
                } catch {
                    guard isPatient, address != all[0] else { throw error }
                    missing.append((address, error.description))
                }
            }
        } catch {
            for socket in sockets {
                close(socket.descriptor)
                if case .unix(let path) = socket.address { unlink(path) }
            }
            throw error
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        socketFile = SocketFile(socketPath)
        let (ends, source) = AsyncStream.makeStream(of: Void.self)
        self.ends = ends
        ended = source
        for (index, socket) in sockets.enumerated() {
            do {
                try await serve(socket, group)
            } catch {
                for socket in sockets[(index + 1)...] { close(socket.descriptor) }
                await stop()
                throw error
            }
        }
        descriptors = sockets.map(\.descriptor)
        boundAddresses = sockets.dropFirst().map(\.address) + [sockets[0].address]
        logger.info(
            "The admin side listens", metadata: ["addresses": .array(boundAddresses.map { .string("\($0)") })])
    }

    /// Tries again for the addresses that could not be had.
    func retry() async {
        guard let group else { return }
        var left: [(address: ListenAddress, reason: String)] = []
        for (address, _) in missing {
            do {
                let socket = try ListeningSocket.bind(address, setting: "admin.listen")
                try await serve(socket, group)
                descriptors.append(socket.descriptor)
                boundAddresses.insert(socket.address, at: max(0, boundAddresses.count - 1))
                logger.info("The admin side listens", metadata: ["address": "\(socket.address)"])
            } catch {
                left.append((address, "\(error)"))
            }
        }
        missing = left
    }

    private func serve(_ socket: ListeningSocket, _ group: MultiThreadedEventLoopGroup) async throws {
        let listener = try await listen(on: socket, group: group)
        listeners.append(
            Task { [logger, connections, ended] in
                await Self.serve(listener.channel, listener.protocolHandler, connections, logger)
                ended?.yield()
            })
    }

    /// Stops listening, ends streams of events, lets what is being answered end within ``grace``, and removes the Unix
    /// socket if it is still this server's.
    public func stop() async {
        guard let group else { return }
        socketFile?.remove()
        for listener in listeners { listener.cancel() }
        var isOver = await waitForEnds(within: Self.grace)
        if !isOver {
            connections.closeAll()
            isOver = await waitForEnds(within: .seconds(1))
        }
        // A loop that somebody still writes to is left running rather than pulled away.
        if isOver { try? await group.shutdownGracefully() }
        self.group = nil
    }

    /// A listening channel and what speaks HTTP on its connections.
    private struct Listener: Sendable {
        var channel: NIOAsyncChannel<HTTP1Channel.Value, Never>
        var protocolHandler: HTTP1Channel
    }

    private func listen(on socket: ListeningSocket, group: MultiThreadedEventLoopGroup) async throws -> Listener {
        let responder = responder(for: socket.address)
        let connections = connections
        let http = HTTP1Channel(
            responder: { request, writer, _ in
                let isStream = request.uri.path.hasPrefix("/api/v1/events")
                if !isStream { connections.answering(1) }
                defer { if !isStream { connections.answering(-1) } }
                let response = await responder.respond(to: request)
                try await writer.write(response: response.head, body: response.body)
            },
            configuration: .init(
                idleTimeout: .seconds(60),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
        let logger = logger
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 128)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(socket.descriptor) { channel in
                http.setup(channel: channel, logger: logger)
            }
        return Listener(channel: channel, protocolHandler: http)
    }

    /// What answers on an address, with the trust that the address deserves.
    private func responder(for address: ListenAddress) -> AdminResponder {
        var names: Set<String> = []
        var cookieName = "stoker_session"
        let reach: AdminAccess.Reach
        switch address {
        case .unix: reach = .unix
        case .tcp(let host, let port):
            reach = address.isLoopback ? .loopback : .elsewhere
            names.insert(host.lowercased())
            if reach == .elsewhere, let own = Self.hostName() {
                names.insert(own)
                names.insert(own.split(separator: ".").first.map(String.init) ?? own)
            }
            cookieName += "_\(port)"
        }
        return AdminResponder(
            control: control, token: token, sessions: sessions, access: AdminAccess(reach: reach, names: names),
            cookieName: cookieName, logger: logger)
    }

    /// The machine's name, lower case.
    private static func hostName() -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name.isEmpty ? nil : name.lowercased()
    }

    /// Takes connections until its task is cancelled, then waits for those that are open.
    private static func serve(
        _ channel: NIOAsyncChannel<HTTP1Channel.Value, Never>, _ http: HTTP1Channel, _ connections: AdminConnections,
        _ logger: Logger
    ) async {
        await withDiscardingTaskGroup { tasks in
            do {
                try await channel.executeThenClose { inbound in
                    for try await connection in inbound {
                        guard connections.insert(connection.channel, limit: mostConnections) else {
                            connection.channel.close(promise: nil)
                            tasks.addTask { await http.handle(value: connection, logger: logger) }
                            continue
                        }
                        tasks.addTask {
                            await http.handle(value: connection, logger: logger)
                            connections.remove(connection.channel)
                        }
                    }
                }
            } catch {
                if !Task.isCancelled {
                    logger.error("An admin listener ended", metadata: ["error": "\(error)"])
                }
            }
            tasks.cancelAll()
        }
    }

    /// Waits until every listener's task has ended; false when the time is up first.
    private func waitForEnds(within time: Duration) async -> Bool {
        guard let ends else { return true }
        let count = listeners.count
        return await withTaskGroup(of: Int.self) { tasks in
            tasks.addTask {
                var left = count
                guard left > 0 else { return 0 }
                for await _ in ends {
                    left -= 1
                    if left == 0 { break }
                }
                return left
            }
            tasks.addTask {
                try? await Task.sleep(for: time)
                return -1
            }
            let first = await tasks.next()
            tasks.cancelAll()
            return first == 0
        }
    }
}
