/// What a gateway worker needs to begin.
public struct GatewayOptions: Sendable {
    /// A listening socket: bound, listening and non-blocking already; shared by all loops and perhaps other workers.
    public struct Listener: Sendable {
        /// The socket.
        public var descriptor: Int32
        /// Its address in configuration's words: `127.0.0.1:8080` or `unix:/path`.
        public var name: String

        /// A listening socket and its name.
        public init(descriptor: Int32, name: String) {
            self.descriptor = descriptor
            self.name = name
        }
    }

    /// The Unix socket on which the supervisor gives out snapshots.
    public var registryPath: String
    /// Where clients come in.
    public var listeners: [Listener]
    /// The number of event loops, one thread each; less than 1 is 1.
    public var loops: Int
    /// The build, as `stoker version` prints it.
    public var build: String
    /// How its log looks.
    public var log: GatewayLog.Style
    /// Time limits that are not configured: shorter ones are for tests.
    var patience = Patience()

    /// Options.
    public init(registryPath: String, listeners: [Listener], loops: Int, build: String, log: GatewayLog.Style = .json) {
        self.registryPath = registryPath
        self.listeners = listeners
        self.loops = loops
        self.build = build
        self.log = log
    }
}
