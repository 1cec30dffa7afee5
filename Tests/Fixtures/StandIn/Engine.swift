import CLinux
import Glibc

/// The process named `VLLM::EngineCore`: makes the tokens, step by step, on one thread. Stopped, it makes none; killed,
/// it leaves the head without them; its head killed, it lives on, as vLLM's does.
struct Engine {
    private struct Request {
        let id: Int64
        let total: Int64
        let interval: Double
        var due: Double
        var made: Int64 = 0
    }

    private let link: Int32 = 3
    private let maxRunning = environment("STANDIN_ENGINE_SEQS").flatMap(Int.init) ?? 256
    private var running: [Request] = []
    private var waiting: [Request] = []
    private var steps: Int64 = 0
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var draining = false
    private var orphan = false
    private var workers: [Int32] = []

    static func main() -> Never {
        setShortName("VLLM::EngineCore")
        signal(SIGPIPE, SIG_IGN)
        // A drain is the head's to order, over the socket; but an orphan dies of SIGTERM as any process does.
        var engine = Engine()
        engine.startWorkers(environment("STANDIN_ENGINE_WORKERS").flatMap(Int.init) ?? 0)
        engine.makeSharedMemory()
        engine.run()
    }

    private mutating func startWorkers(_ count: Int) {
        for rank in 0..<count {
            var pair: [Int32] = [0, 0]
            guard pipe(&pair) == 0 else { continue }
            for end in pair { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            let name = count == 1 ? "VLLM::Worker" : "VLLM::Worker_TP\(rank)"
            // The write end stays open here for as long as this process lives: its end is the worker's end.
            guard let pid = spawnSelf([name], link: pair[0]) else { continue }
            close(pair[0])
            workers.append(stoker_pidfd_open(pid))
        }
    }

    /// A segment such as vLLM's message queues have; a killed engine leaves it behind.
    private func makeSharedMemory() {
        guard environment("STANDIN_SHM") == "1" else { return }
        let descriptor = open(Self.sharedMemoryPath(getpid()), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, 1 << 20) == 0 else { return }
        _ = mmap(nil, 1 << 20, PROT_READ | PROT_WRITE, Int32(MAP_SHARED), descriptor, 0)
        close(descriptor)
    }

    static func sharedMemoryPath(_ pid: pid_t) -> String { "/dev/shm/psm_stand_in_\(pid)" }

    private mutating func run() -> Never {
        EngineMessage(kind: .ready).append(to: &output)
        while true {
            flush()
            wait()
            receive()
            admit()
            step()
            finishDrain()
        }
    }

    /// Sleeps until a token is due, a message is there, or a worker died.
    private mutating func wait() {
        var entries = workers.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        if !orphan { entries.append(pollfd(fd: link, events: Int16(POLLIN), revents: 0)) }
        let limit = running.map(\.due).min()
        var timeout: Int32 = -1
        if let limit {
            // poll(2) counts in whole milliseconds; what is due sooner is slept.
            let left = max(0, limit - monotonic())
            timeout = Int32(left * 1000)
            if timeout == 0 { pause(seconds: left) }
        }
        poll(&entries, nfds_t(entries.count), timeout)
        if entries.prefix(workers.count).contains(where: { $0.revents != 0 }) {
            // A dead worker is a dead engine.
            exit(1)
        }
    }

    private mutating func receive() {
        guard !orphan else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(link, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count == 0 {
            // The head is gone. What it asked for is of no use to anybody; the memory is held all the same.
            orphan = true
            running = []
            waiting = []
            return
        }
        guard count > 0 else { return }
        input += buffer[..<count]
        for message in EngineMessage.take(from: &input) {
            switch message.kind {
            case .add: add(message)
            case .abort:
                running.removeAll { $0.id == message.id }
                waiting.removeAll { $0.id == message.id }
                report()
            case .drain: draining = true
            default: break
            }
        }
    }

    private mutating func add(_ message: EngineMessage) {
        guard !draining, message.a > 0 else {
            EngineMessage(kind: .token, id: message.id, a: 0, b: 2).append(to: &output)
            return
        }
        let first = Double(message.b) / 1e6
        let interval = Double(message.c) / 1e6
        waiting.append(
            Request(id: message.id, total: message.a, interval: interval, due: monotonic() + max(first, interval)))
    }

    private mutating func admit() {
        while running.count < maxRunning, !waiting.isEmpty { running.append(waiting.removeFirst()) }
    }

    /// One step: a token for each request that is due.
    private mutating func step() {
        let now = monotonic()
        var tokens: Int64 = 0
        for index in running.indices where running[index].due <= now {
            let last: Int64 = running[index].made + 1 == running[index].total ? 1 : 0
            EngineMessage(kind: .token, id: running[index].id, a: running[index].made, b: last).append(to: &output)
            running[index].made += 1
            running[index].due = max(running[index].due + running[index].interval, now)
            tokens += 1
        }
        guard tokens > 0 else { return }
        running.removeAll { $0.made == $0.total }
        steps += 1
        report(tokens)
    }

    private mutating func report(_ tokens: Int64 = 0) {
        EngineMessage(
            kind: .step, id: steps, a: Int64(running.count), b: Int64(waiting.count), c: tokens
        ).append(to: &output)
    }

    private mutating func finishDrain() {
        guard draining, running.isEmpty, waiting.isEmpty else { return }
        flush()
        unlink(Self.sharedMemoryPath(getpid()))
        exit(0)
    }

    private mutating func flush() {
        guard !output.isEmpty else { return }
        if !orphan { writeAll(link, output) }
        output.removeAll(keepingCapacity: true)
    }
}

/// The process named `VLLM::Worker`: lives as long as its engine.
enum Worker {
    static func main() -> Never {
        setShortName("VLLM::Worker")
        var byte: UInt8 = 0
        while read(3, &byte, 1) < 0 && errno == EINTR {}
        exit(0)
    }
}

/// A process that outlives its head, and that SIGTERM does not end.
enum Grandchild {
    static func main(ownSession: Bool) -> Never {
        if ownSession { setsid() }
        setShortName("grandchild")
        signal(SIGTERM, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        while true { sleep(3600) }
    }
}
