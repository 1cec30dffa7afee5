import Fleet

/// One HTTP request to an engine, as a value.
public struct HTTPProbe: Sendable, Hashable {
    /// Where to; its base path is put before ``path``.
    public var endpoint: Endpoint
    /// Sent as `Authorization: Bearer`.
    public var apiKey: Secret?
    /// `GET` or `POST`.
    public var method: String
    /// Such as `/v1/models`.
    public var path: String
    /// A JSON body, for `POST`.
    public var body: [UInt8]
    /// For the whole exchange, connecting included.
    public var timeout: Duration
    /// What is kept of the answer's body; the rest is read and dropped.
    public var maximumBytes: Int

    /// A request.
    public init(
        endpoint: Endpoint, apiKey: Secret? = nil, method: String = "GET", path: String, body: [UInt8] = [],
        timeout: Duration, maximumBytes: Int = 4 << 20
    ) {
        self.endpoint = endpoint
        self.apiKey = apiKey
        self.method = method
        self.path = path
        self.body = body
        self.timeout = timeout
        self.maximumBytes = maximumBytes
    }
}

/// What came of an ``HTTPProbe``.
public struct HTTPProbeResult: Sendable, Hashable {
    /// The answer, or why there is none.
    public var outcome: Outcome
    /// When the request began.
    public var began: Instant
    /// From beginning to end.
    public var elapsed: Duration

    /// A result.
    public init(outcome: Outcome, began: Instant, elapsed: Duration) {
        self.outcome = outcome
        self.began = began
        self.elapsed = elapsed
    }

    /// An answer or a failure.
    public enum Outcome: Sendable, Hashable {
        /// A whole response, whatever its status.
        case answer(status: Int, body: [UInt8])
        /// No whole response.
        case failure(Failure)
    }

    /// Why there is no response.
    public enum Failure: Sendable, Hashable {
        /// Nothing listens there: ECONNREFUSED, or no such socket.
        case refused
        /// Connected or not, the time was up.
        case timedOut
        /// The connection broke in the middle.
        case lost
        /// TLS could not be agreed on; the sentence says why.
        case tls(String)
        /// This process could not even ask: it is out of descriptors or memory. Says nothing about the server.
        case ours(String)
        /// Anything else, in a sentence.
        case other(String)
    }
}

/// Sends requests to engines. One real implementation (libcurl), one fake in the tests.
public protocol HTTPProber: Sendable {
    /// Sends a request and waits for its end; never throws, never outlasts the probe's timeout by more than a second.
    func send(_ probe: HTTPProbe) async -> HTTPProbeResult
}
