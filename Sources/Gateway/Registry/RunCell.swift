import COpenSSL
import Fleet
import Synchronization

/// What the whole process knows of one run: counts that every loop changes and the control thread reads.
///
/// In memory of its own, so that a request holds a plain pointer; given back by the ``RunDirectory`` only when no
/// table names the run, every loop has switched, and nothing is in flight on it.
struct RunCell: ~Copyable {
    /// Requests dispatched and not finished.
    let inflight = Atomic<Int>(0)
    /// Whether requests are routed to it.
    let published = Atomic<Bool>(false)
    /// Connections failed or lost before the response.
    let failures = Atomic<UInt64>(0)
    /// Responses cut short after their first byte.
    let lost = Atomic<UInt64>(0)
    /// A ``RunFailure``'s raw value: the newest one.
    let lastFailure = Atomic<UInt8>(0)
    /// A ``Breaker``'s raw value.
    let breaker = Atomic<UInt64>(0)
    /// When it was last published, in nanoseconds of the monotonic clock.
    let publishedAt = Atomic<UInt64>(0)
    /// The serial number of the newest table that names it.
    let table = Atomic<UInt64>(0)
    /// What each loop knows of it, by the loop's index.
    let lines: UnsafeMutablePointer<RunLine>
    /// How many loops.
    let loops: Int
    /// The instance's name.
    let name: String
    /// Its bytes, for heads.
    let label: ByteView

    /// A cell for a process of `loops` loops.
    init(loops: Int, name: String = "") {
        self.loops = loops
        self.name = name
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, name.utf8.count))
        for (index, byte) in name.utf8.enumerated() { bytes[index] = byte }
        label = ByteView(UnsafePointer(bytes), name.utf8.count)
        lines = .allocate(capacity: loops)
        for index in 0..<loops { (lines + index).initialize(to: RunLine()) }
    }

    /// Changes the breaker, whoever else may.
    func changeBreaker<Result>(_ change: (inout Breaker) -> Result) -> Result {
        var raw = breaker.load(ordering: .relaxed)
        while true {
            var value = Breaker(raw: raw)
            let result = change(&value)
            if value.raw == raw { return result }
            let outcome = breaker.weakCompareExchange(
                expected: raw, desired: value.raw, ordering: .acquiringAndReleasing)
            if outcome.exchanged { return result }
            raw = outcome.original
        }
    }

    deinit {
        lines.deinitialize(count: loops)
        lines.deallocate()
        label.base.deallocate()
    }
}

/// What one loop knows of a run: only that loop writes here.
struct RunLine: ~Copyable {
    /// Nanoseconds of the monotonic clock at the newest byte that its engine has made; 0 before the first.
    let lastByte = Atomic<UInt64>(0)
    /// The ticket of the loop's oldest request that waits for a place there; the largest number for none.
    let oldestWaiting = Atomic<UInt64>(.max)
    /// The newest idle connection to it; the others follow by ``UpstreamConnection/nextOfRun``.
    var idle: UnsafeMutablePointer<UpstreamConnection>?
    /// How many are idle.
    var idleCount = 0
    /// What the next TLS connection to it can be made cheaply by.
    var session: UnsafeMutableRawPointer?
    // Keeps two loops' lines out of one cache line.
    private var padding: (UInt64, UInt64, UInt64) = (0, 0, 0)

    init() {}

    /// Keeps a newer session.
    mutating func keep(_ newer: UnsafeMutableRawPointer) {
        if let session { stoker_tls_session_free(session) }
        session = newer
    }

    deinit { if let session { stoker_tls_session_free(session) } }
}

/// A run's counts as a request holds them.
typealias RunPointer = UnsafeMutablePointer<RunCell>

/// Why a run failed a request, in sentences for the supervisor's report.
enum RunFailure: UInt8 {
    case none, refused, connectTimeout, lost, lostInStream, nonsense, engineDead, rejectedKey, firstByteTimeout
    case untrusted

    /// The sentence; nil for none.
    var sentence: String? {
        switch self {
        case .none: return nil
        case .refused: return "the connection was refused"
        case .untrusted: return "TLS with the server failed: its certificate is not to be believed, or it speaks none"
        case .connectTimeout: return "the connection was not made in time"
        case .lost: return "the connection was lost before the response"
        case .lostInStream: return "the connection was lost in the middle of a response"
        case .nonsense: return "the response was not valid HTTP/1.1"
        case .engineDead: return "the server said that its engine is dead"
        case .rejectedKey: return "the server refused the configured api_key"
        case .firstByteTimeout: return "the first byte of a response did not come in time"
        }
    }
}
