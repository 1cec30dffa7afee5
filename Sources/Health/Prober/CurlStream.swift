import CCurl
import Fleet
import Synchronization

/// One request whose answer is handed on as it comes, on a thread of its own. For the rare request of a person; probes
/// share ``CurlProber``'s thread.
public final class CurlStream: Sendable {
    /// An answer's head.
    public struct Head: Sendable, Hashable {
        /// The HTTP status.
        public var status: Int
        /// Header fields, names in lower case; of several the last one.
        public var headers: [String: String]
    }

    /// Why there is no answer, or why it broke off.
    public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// libcurl's sentence.
        public var description: String
    }

    /// The most that an answer's body may be, in bytes.
    public static let longestBody = 16 << 20

    /// The body as it comes; read it once. When nobody reads it any more, the connection closes.
    public let body: AsyncThrowingStream<[UInt8], any Error>
    private let heads: AsyncThrowingStream<Head, any Error>
    private let transfer: StreamTransfer

    /// Begins the request.
    ///
    /// - Parameters:
    ///   - probe: The request; ``HTTPProbe/maximumBytes`` is not looked at.
    ///   - trustsPeer: Whether the certificate is taken unseen.
    ///   - ended: Called once, from any thread, when the transfer is over.
    public init(_ probe: HTTPProbe, trustsPeer: Bool = false, ended: @escaping @Sendable () -> Void = {}) {
        let (body, bodySource) = AsyncThrowingStream.makeStream(of: [UInt8].self)
        let (heads, headSource) = AsyncThrowingStream.makeStream(of: Head.self)
        self.body = body
        self.heads = heads
        transfer = StreamTransfer(probe, trustsPeer: trustsPeer, head: headSource, body: bodySource, ended: ended)
        let transfer = transfer
        bodySource.onTermination = { _ in transfer.cancel() }
        transfer.start()
    }

    deinit {
        // A body that was never asked for would else be waited for.
        if !transfer.hasHead { transfer.cancel() }
    }

    /// The answer's head; throws where there is none. A cancelled task closes the connection.
    public func head() async throws -> Head {
        try await withTaskCancellationHandler {
            for try await head in heads { return head }
            throw Failure(description: "there was no answer")
        } onCancel: {
            transfer.cancel()
        }
    }
}

/// The easy handle with everything that must outlive it; only its thread touches it, the flags aside.
private final class StreamTransfer: @unchecked Sendable {
    private let probe: HTTPProbe
    private let trustsPeer: Bool
    private let head: AsyncThrowingStream<CurlStream.Head, any Error>.Continuation
    private let body: AsyncThrowingStream<[UInt8], any Error>.Continuation
    private let ended: @Sendable () -> Void
    private let isCancelled = Atomic<Bool>(false)
    private let isAnswered = Atomic<Bool>(false)
    private var easy: UnsafeMutableRawPointer?
    private var fields: [String: String] = [:]
    private var received = 0

    init(
        _ probe: HTTPProbe, trustsPeer: Bool, head: AsyncThrowingStream<CurlStream.Head, any Error>.Continuation,
        body: AsyncThrowingStream<[UInt8], any Error>.Continuation, ended: @escaping @Sendable () -> Void
    ) {
        self.probe = probe
        self.trustsPeer = trustsPeer
        self.head = head
        self.body = body
        self.ended = ended
    }

    var hasHead: Bool { isAnswered.load(ordering: .acquiring) }

    var wasCancelled: Bool { isCancelled.load(ordering: .acquiring) }

    /// Seen by the thread at the next byte, else within a second.
    func cancel() { isCancelled.store(true, ordering: .releasing) }

    func start() {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        if stoker_thread_start(&thread, "stoker-try", runStreamThread, context) == 0 {
            pthread_detach(thread)
        } else {
            Unmanaged<StreamTransfer>.fromOpaque(context).release()
            finish("there is no thread for it")
        }
    }

    /// The thread's body: from the first byte to the last.
    func run() {
        let request = CurlTransfer(id: 0, probe: probe)
        if let problem = request.prepare() { return finish(problem) }
        guard let easy = request.easy else { return finish("libcurl has no memory for a request") }
        self.easy = easy
        let context = Unmanaged.passUnretained(self).toOpaque()
        stoker_curl_set_receiver(easy, receiveStreamBody, context)
        stoker_curl_set_header_receiver(easy, receiveStreamHeader, context)
        stoker_curl_set_progress(easy, lookAtStream, context)
        if trustsPeer {
            stoker_curl_set_long(easy, CURLOPT_SSL_VERIFYPEER, 0)
            stoker_curl_set_long(easy, CURLOPT_SSL_VERIFYHOST, 0)
        }
        let code = curl_easy_perform(easy)
        if code == CURLE_OK { answer() }
        let problem = code == CURLE_OK ? nil : String(cString: curl_easy_strerror(code))
        self.easy = nil
        request.finish(code: code)
        finish(problem)
    }

    private func finish(_ problem: String?) {
        let failure = problem.map { CurlStream.Failure(description: $0) }
        head.finish(throwing: failure)
        body.finish(throwing: failure)
        ended()
    }

    /// A line of the head; a status line begins it anew, as after a 100.
    func receive(header line: String) {
        if line.hasPrefix("HTTP/") { fields = [:] }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        fields[line[..<colon].lowercased()] = String(value.prefix { !$0.isNewline })
    }

    /// A piece of the body; false ends the transfer.
    func receive(body bytes: UnsafeRawBufferPointer) -> Bool {
        answer()
        received += bytes.count
        guard !wasCancelled, received <= CurlStream.longestBody else { return false }
        body.yield(Array(bytes))
        return true
    }

    private func answer() {
        guard let easy, !isAnswered.exchange(true, ordering: .acquiringAndReleasing) else { return }
        head.yield(CurlStream.Head(status: stoker_curl_status(easy), headers: fields))
        head.finish()
    }
}

// libcurl's callbacks. At file scope: a closure made elsewhere could trap on the transfer's thread.

private func runStreamThread(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<StreamTransfer>.fromOpaque(context).takeRetainedValue().run()
}

private func receiveStreamBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let bytes, let context else { return 0 }
    let transfer = Unmanaged<StreamTransfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.receive(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private func receiveStreamHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let bytes, let context else { return 0 }
    let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
    Unmanaged<StreamTransfer>.fromOpaque(context).takeUnretainedValue()
        .receive(header: String(decoding: line, as: UTF8.self))
    return size * count
}

private func lookAtStream(
    _ context: UnsafeMutableRawPointer?, _: curl_off_t, _: curl_off_t, _: curl_off_t, _: curl_off_t
) -> CInt {
    guard let context else { return 1 }
    return Unmanaged<StreamTransfer>.fromOpaque(context).takeUnretainedValue().wasCancelled ? 1 : 0
}
