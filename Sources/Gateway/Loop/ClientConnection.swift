/// Where a client's connection is in its request.
enum ClientPhase: UInt8 {
    /// Not in use.
    case free
    /// Reading a head, or idle between requests. Next: body, queued, dispatch, flushing, head.
    case head
    /// Reading a body. Next: queued, dispatch, flushing.
    case body
    /// Waiting for a place on an instance. Next: dispatch, flushing.
    case queued
    /// Connecting to a server, or sending it the request. Next: awaiting, flushing.
    case dispatch
    /// The server's head has not come yet. Next: held, relaying, dispatch (another try), flushing.
    case awaiting
    /// Head and first bytes are here and held. Next: relaying, dispatch (another try), flushing.
    case held
    /// Bytes leave as they come. Next: flushing, head.
    case relaying
    /// The response is whole and waits for the client to take it. Next: head, lingering.
    case flushing
    /// The response is out and the connection half closed; what the client still sends is thrown away. Next: free.
    case lingering
}

/// A client's connection and the request on it: plain memory in a ``Slab``, a few hundred bytes, nothing counted.
struct ClientConnection: Slotted {
    let index: UInt32
    var generation: UInt32 = 1
    var nextFree: UInt32 = .max

    var socket = Socket()
    var phase = ClientPhase.free
    /// Whether bytes may wait in the socket that were not read (edge-triggered: nobody will say it twice).
    var isReadable = false
    /// Whether the client has finished sending, which here means that it is gone.
    var isFinished = false
    /// Whether ``EventLoop`` is working through this connection's bytes.
    var isProcessing = false
    /// Whether it waits for another go at the end of the turn.
    var isDeferred = false
    /// Whether it came over a Unix socket.
    var isUnix = false
    /// Whether it waits for body memory.
    var isPaused = false

    /// What the client sent: the head, the body, and perhaps the beginning of the next request.
    var inbound = Buffer()
    /// What waits for the client to take it.
    var outbound = Buffer()

    // The request.
    var requestID = RequestID()
    /// Whether an empty line in front of the head has been passed over.
    var hasSkippedLine = false
    var head = RequestHead()
    var route = Route.unknown
    var dialect = Dialect.openAI
    /// Where the body starts in ``inbound``.
    var bodyStart = 0
    /// The body's length as far as it has come.
    var bodyLength = 0
    /// Bytes of ``inbound`` that belong to this request: the rest is the next one's.
    var requestLength = 0
    var framing = ChunkFraming()
    var scanner = ModelScanner()
    /// Where a multipart body's model lies.
    var multipartModel: ModelScanner.Place?
    /// Body memory taken from the process's.
    var reserved = 0
    /// Whether the connection ends after this response.
    var closes = false
    /// What is passed through and to whom; an index into the loop's table of such requests, or -1.
    var passthrough: Int32 = -1
    /// A body too large to be kept; an index into the loop's table of such, or -1.
    var upload: Int32 = -1
    /// Whether the body is looked into as JSON: always where the model decides, in passthrough where it is JSON.
    var scansBody = false
    /// What the request's origin is allowed, by the loop's number for it; 0 where nothing is to be said.
    var grant: UInt16 = 0
    /// Whether the request counts as active.
    var isActive = false
    /// Whether the first bytes of the next request have come.
    var hasBegun = false

    // The exchange.
    var exchange = Exchange()
    /// The run that the request is leased to; nil without a lease.
    var run: RunPointer?
    /// Whether it is the one that tries an instance whose breaker was open.
    var isTrial = false
    /// What was tried before, not to be chosen again.
    var triedRun: RunPointer?
    /// What the body's model named, as an index into the table of this serial number.
    var target = -1
    var targetSerial: UInt64 = 0
    /// How many instances an inquiry has asked.
    var asked: Int32 = 0
    /// The number that measurements know the provider by; 0 for none.
    var providerNumber: UInt16 = 0
    var upstream: UnsafeMutablePointer<UpstreamConnection>?
    /// The head for the server, and behind it the model that replaces the body's.
    var upstreamHead = Buffer()
    var upstreamHeadLength = 0
    /// Where the body's own model lies; equal when it stays.
    var modelStart = 0
    var modelEnd = 0
    /// Bytes of the request that have been written.
    var sent = 0

    // While it waits for a place: among those of its loop, in the order of their tickets.
    var ticket: UInt64 = 0
    /// What it waits for, in the present table: a target, or -1 in passthrough.
    var queuedTarget: Int32 = -1
    /// The one run that will do, or -1.
    var queuedRun: Int32 = -1
    var queueNext: UnsafeMutablePointer<ClientConnection>?
    var queuePrevious: UnsafeMutablePointer<ClientConnection>?

    // The response.
    var status = 0
    var bodyEnd = BodyEnd.none
    /// What is left of a body with a Content-Length.
    var responseLeft = 0
    var isEventStream = false
    /// Whether the body's bytes are the engine's: not those of errors, nor of what the front end answers by itself.
    var showsLife = false
    /// The last two bytes of an unframed stream.
    var lastBytes: UInt16 = 0x0a0a
    var upstreamCloses = false
    /// The head for the client, and behind it what is held of the body.
    var held = Buffer()
    var heldHeadLength = 0
    /// The payload that is held, decoded: what is judged.
    var peek = Buffer()
    /// Whether a body byte has come.
    var hasBodyByte = false
    /// The `sequence_number`s of a Responses stream.
    var sequence = SequenceNumbers()
    /// The id of a response that passed; empty until seen.
    var responseID = ResponseID()

    // Measurements.
    /// When its head was read.
    var startedAt: UInt64 = 0
    /// When the newest bytes of a stream came.
    var chunkAt: UInt64 = 0
    /// The gateway's own time so far, where it is measured.
    var ownTime: UInt64 = 0
    /// Set while a stream's chunks are measured.
    var chunkMeasure: UnsafeMutablePointer<LoopMeasures.Provider>?
    var promptTokens: UInt32 = 0
    var completionTokens: UInt32 = 0
    /// The number that measurements know the model by; 0 for none.
    var modelNumber: UInt16 = 0
    // For the access log.
    /// The newest run that the request was on; looked at in the turn in which it ends.
    var loggedRun: RunPointer?
    /// When the first byte of its answer left; 0 before.
    var firstByteAt: UInt64 = 0
    /// The body's length, as far as it came.
    var loggedBody = 0
    /// Bytes of the answer's body, as they were sent.
    var responseBytes = 0
    /// Tokens that were counted.
    var prompted: (UInt32, UInt32) = (0, 0)
    var trace = TraceParent()
    /// Whether the gateway's own time is measured.
    var isSampled = false

    // Deadlines.
    var deadline = UInt64.max
    var wheelTick: UInt64 = 0
    var wheelNext: UnsafeMutablePointer<ClientConnection>?
    var wheelPrevious: UnsafeMutablePointer<ClientConnection>?

    init(index: UInt32) { self.index = index }

    /// What epoll knows it by.
    @inline(__always) var handle: Handle { Handle(.client, index: index, generation: generation) }

    /// Whether a server is working for it.
    @inline(__always) var isInFlight: Bool {
        switch phase {
        case .queued, .dispatch, .awaiting, .held, .relaying: return true
        default: return false
        }
    }

    /// Forgets the request, keeps the connection.
    @inline(__always) mutating func forgetRequest() {
        scansBody = false
        grant = 0
        passthrough = -1
        exchange = Exchange()
        triedRun = nil
        targetSerial = 0
        asked = 0
        providerNumber = 0
        sent = 0
        status = 0
        hasBodyByte = false
        hasBegun = false
        isEventStream = false
        showsLife = false
        lastBytes = 0x0a0a
        multipartModel = nil
        bodyLength = 0
        modelStart = 0
        modelEnd = 0
        sequence = SequenceNumbers()
        responseID = ResponseID()
        ownTime = 0
        chunkMeasure = nil
        loggedRun = nil
        firstByteAt = 0
        loggedBody = 0
        responseBytes = 0
        prompted = (0, 0)
        modelNumber = 0
        promptTokens = 0
        completionTokens = 0
    }
}

/// The beginning of a Responses id, kept in place: vLLM's are `resp_` and 32 hexadecimal digits.
struct ResponseID: Equatable {
    /// The most bytes kept.
    static let capacity = 64
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    private(set) var count = 0

    /// No id.
    init() {}

    /// The id in these bytes, cut to ``capacity``.
    init(_ view: ByteView) {
        count = min(view.count, Self.capacity)
        withUnsafeMutableBytes(of: &words) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: view.base, count: count))
        }
    }

    /// The id's bytes.
    var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0.prefix(count)) } }

    static func == (left: ResponseID, right: ResponseID) -> Bool { left.bytes == right.bytes }
}
