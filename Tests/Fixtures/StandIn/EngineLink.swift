import CLinux
import Glibc
import Synchronization

/// The head's side of the engine: who waits for which tokens, and the counters that move with each step.
final class EngineLink: Sendable {
    /// What a waiting request is told.
    enum Event: Sendable {
        case token(index: Int, last: Bool)
        case aborted
        case dead
    }

    /// Where one request's tokens arrive.
    final class Inbox: Sendable {
        let signal: Int32 = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        private let events = Mutex<[Event]>([])

        deinit { close(signal) }

        func put(_ event: Event) {
            events.withLock { $0.append(event) }
            eventfd_write(signal, 1)
        }

        /// Sleeps until something has arrived, so long at most.
        func wait(seconds: Double) {
            var entry = pollfd(fd: signal, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, Int32(seconds * 1000))
        }

        /// Everything that has arrived.
        func take() -> [Event] {
            var value: eventfd_t = 0
            eventfd_read(signal, &value)
            return events.withLock { events in
                let taken = events
                events.removeAll(keepingCapacity: true)
                return taken
            }
        }
    }

    /// The engine's counters as the last message from it had them: they freeze when it does.
    struct Counters: Sendable {
        var steps: Int64 = 0
        var running: Int64 = 0
        var waiting: Int64 = 0
        var tokens: Int64 = 0
        var promptTokens: Int64 = 0
        var cacheQueries: Int64 = 0
        var cacheHits: Int64 = 0
        var finished: [String: Int64] = [:]
    }

    private struct State {
        var inboxes: [Int64: Inbox] = [:]
        var prompts: [Int64: (tokens: Int64, cached: Int64)] = [:]
        var counters = Counters()
        var nextID: Int64 = 1
        var ready = false
        var deadSince: Double?
        var abandoned = false
        var seenPrompts: Set<Int> = []
    }

    let pid: pid_t
    private let socket: Int32
    private let state = Mutex(State())
    private let sending = Mutex(())

    /// Starts the engine process; nil where it cannot be started.
    init?(options: Options) {
        var pair: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { return nil }
        let started = spawnSelf(
            ["VLLM::EngineCore"], link: pair[1],
            environment: [
                "STANDIN_ENGINE_SEQS": String(options.maxSequences),
                "STANDIN_ENGINE_WORKERS": String(options.workers),
            ])
        close(pair[1])
        guard let started else { return nil }
        socket = pair[0]
        pid = started
        startThread { [self] in receive() }
    }

    var ready: Bool { state.withLock { $0.ready } }
    /// Since when the engine is known to be dead, on the monotonic clock.
    var deadSince: Double? { state.withLock { $0.deadSince } }
    var counters: Counters { state.withLock { $0.counters } }

    /// Asks for tokens. `promptHash` stands for the prompt: seen before, it counts as a hit of the prefix cache.
    func submit(
        tokens: Int, first: Double, interval: Double, promptTokens: Int, promptHash: Int
    ) -> (id: Int64, inbox: Inbox) {
        let inbox = Inbox()
        let (id, dead) = state.withLock { state in
            let id = state.nextID
            state.nextID += 1
            state.inboxes[id] = inbox
            let cached = state.seenPrompts.insert(promptHash).inserted ? 0 : Int64(promptTokens)
            state.prompts[id] = (Int64(promptTokens), cached)
            return (id, state.deadSince != nil)
        }
        if dead {
            inbox.put(.dead)
        } else {
            send(
                EngineMessage(
                    kind: .add, id: id, a: Int64(tokens), b: Int64(first * 1e6), c: Int64(interval * 1e6),
                    d: Int64(promptTokens)))
        }
        return (id, inbox)
    }

    /// The request is over for the head: nothing more is delivered; the engine is told when it had not finished.
    func forget(_ id: Int64, finished: Bool) {
        state.withLock { state in
            state.inboxes[id] = nil
            state.prompts[id] = nil
            if !finished { state.counters.finished["abort", default: 0] += 1 }
        }
        if !finished { send(EngineMessage(kind: .abort, id: id)) }
    }

    /// The engine is to take no more, and to exit when the last request is done.
    func drain() { send(EngineMessage(kind: .drain)) }

    /// Kills the engine at the end of a drain that took too long. Requests are not told: as in vLLM, they hang until
    /// their clients leave.
    func abandon() {
        state.withLock { $0.abandoned = true }
        kill(pid, SIGKILL)
    }

    private func send(_ message: EngineMessage) {
        var bytes: [UInt8] = []
        message.append(to: &bytes)
        // A stopped engine does not read; its socket holds thousands of messages.
        sending.withLock { _ in _ = writeAll(socket, bytes) }
    }

    private func receive() {
        var input: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            input += buffer[..<count]
            for message in EngineMessage.take(from: &input) { handle(message) }
        }
        let waiting = state.withLock { state in
            state.deadSince = monotonic()
            return state.abandoned ? [] : Array(state.inboxes.values)
        }
        for inbox in waiting { inbox.put(.dead) }
    }

    private func handle(_ message: EngineMessage) {
        switch message.kind {
        case .ready: state.withLock { $0.ready = true }
        case .step:
            state.withLock { state in
                state.counters.steps = message.id
                state.counters.running = message.a
                state.counters.waiting = message.b
                state.counters.tokens += message.c
            }
        case .token:
            let inbox = state.withLock { state in
                if message.a == 0, message.b != 2, let prompt = state.prompts[message.id] {
                    state.counters.promptTokens += prompt.tokens
                    state.counters.cacheQueries += prompt.tokens
                    state.counters.cacheHits += prompt.cached
                }
                if message.b == 1 { state.counters.finished["length", default: 0] += 1 }
                if message.b == 2 { state.counters.finished["abort", default: 0] += 1 }
                return state.inboxes[message.id]
            }
            inbox?.put(message.b == 2 ? .aborted : .token(index: Int(message.a), last: message.b == 1))
        default: break
        }
    }
}
