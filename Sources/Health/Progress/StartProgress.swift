import Fleet

/// Judges a start by progress instead of by a clock, and says how far it is.
///
/// Progress is a log line unlike all earlier ones (numbers masked), a progress bar that advances, a mebibyte read or
/// written (`/proc/PID/io`, summed over the tree; less than that is what logging and polling make; once it listens, bytes are those
/// of probes and count no more), or memory that
/// changed by more than 1 %. CPU time alone stretches the limit threefold and no more: a spinning NCCL uses all of it.
public struct StartProgress: Sendable {
    /// What the tree's processes use, added up; nil where it cannot be read.
    public struct Sample: Sendable, Hashable {
        /// `rchar` + `wchar` of `/proc/PID/io`.
        public var ioBytes: UInt64?
        /// Resident memory, and GPU memory where it is known.
        public var memoryBytes: UInt64?
        /// User and system time.
        public var cpuTime: Duration?

        /// A sample.
        public init(ioBytes: UInt64? = nil, memoryBytes: UInt64? = nil, cpuTime: Duration? = nil) {
            self.ioBytes = ioBytes
            self.memoryBytes = memoryBytes
            self.cpuTime = cpuTime
        }
    }

    /// When progress was seen last; the beginning at first.
    public private(set) var lastProgress: Instant
    /// What the progress was, in a few words.
    public private(set) var lastSign = "started"
    /// What it is doing, as far as its log tells.
    public private(set) var phase: StartPhase?
    /// How far the present phase is, 0 to 100, where its log has a progress bar.
    public private(set) var percent: Int?

    /// How long it may be without progress (`start_stall`).
    public var stall: Duration
    private var lastWork: Instant?
    private var sampleBefore: (sample: Sample, at: Instant)?
    private var ioAtProgress: UInt64?
    private var memoryAtProgress: UInt64?
    private var linesSeen: Set<Int> = []
    private var lineOrder: [Int] = []
    private var lineCursor = 0

    /// How many different lines are remembered; a log that is never the same again is limited by `start_max`.
    private static let rememberedLines = 4096
    private static let ioStep: UInt64 = 1 << 20

    /// A start that began.
    ///
    /// - Parameters:
    ///   - stall: How long it may be without progress (`start_stall`).
    ///   - began: When the process was made.
    public init(stall: Duration, began: Instant) {
        self.stall = stall
        lastProgress = began
    }

    /// Takes a line of the log, or several that a progress bar wrote over each other with carriage returns.
    public mutating func observe(line: String, at now: Instant) {
        for part in line.split(whereSeparator: { $0 == "\r" || $0 == "\n" || $0 == "\r\n" }) {
            observe(part: String(part.prefix(1024)), at: now)
        }
    }

    /// Takes a sample of what the tree uses.
    public mutating func observe(sample: Sample, at now: Instant) {
        if let bytes = sample.ioBytes {
            if let before = ioAtProgress, bytes >= before {
                // Once it listens, its bytes are those of our own probes.
                if bytes - before >= StartProgress.ioStep, phase != .listening {
                    ioAtProgress = bytes
                    progressed("reads or writes", at: now)
                }
            } else {
                // The first sample, or a process that left took its count with it.
                ioAtProgress = bytes
            }
        }
        if let memory = sample.memoryBytes {
            if let before = memoryAtProgress {
                let change = memory > before ? memory - before : before - memory
                if change > before / 100 {
                    memoryAtProgress = memory
                    progressed("memory changes", at: now)
                }
            } else {
                memoryAtProgress = memory
            }
        }
        if let time = sample.cpuTime, let before = sampleBefore, let timeBefore = before.sample.cpuTime {
            // A tenth of one CPU is work; waiting processes use less.
            let used = (time - timeBefore).nanoseconds
            let passed = (now - before.at).nanoseconds
            if passed > 0, used > 0, used >= passed / 10 { lastWork = now }
        }
        sampleBefore = (sample, now)
    }

    /// Whether it has been without progress for too long.
    public func isStalled(at now: Instant) -> Bool { now >= stallDeadline(at: now) }

    /// When it will be stalled, as things are.
    public func stallDeadline(at now: Instant) -> Instant {
        if let lastWork, now - lastWork <= min(stall, .seconds(60)), lastWork > lastProgress {
            return lastProgress + stall * 3
        }
        return lastProgress + stall
    }

    /// For status: `loading, 43 %`, `loading (weights, 43 %)`.
    public var summary: String {
        let parts = [phase?.rawValue, percent.map { "\($0) %" }].compactMap { $0 }
        return parts.isEmpty ? "loading" : "loading (\(parts.joined(separator: ", ")))"
    }

    private mutating func observe(part: String, at now: Instant) {
        let announced = StartPhase.announced(by: part)
        let bar = StartPhase.percent(in: part)
        if let announced {
            if announced != phase { percent = nil }
            if phase != .listening { phase = announced }
        }
        if let bar, let announced, announced == phase {
            if bar > percent ?? -1 { progressed("\(announced.rawValue) at \(bar) %", at: now) }
            percent = bar
        }
        if remember(StartProgress.masked(part)) { progressed("a new log line", at: now) }
    }

    private mutating func progressed(_ sign: String, at now: Instant) {
        lastProgress = max(lastProgress, now)
        lastSign = sign
    }

    private mutating func remember(_ mask: Int) -> Bool {
        guard linesSeen.insert(mask).inserted else { return false }
        if lineOrder.count < StartProgress.rememberedLines {
            lineOrder.append(mask)
        } else {
            linesSeen.remove(lineOrder[lineCursor])
            lineOrder[lineCursor] = mask
            lineCursor = (lineCursor + 1) % StartProgress.rememberedLines
        }
        return true
    }

    /// The line's hash with every run of digits as one, escape sequences and block characters of bars left out.
    private static func masked(_ line: String) -> Int {
        var hasher = Hasher()
        var inNumber = false
        var inEscape = false
        for byte in line.utf8 {
            if inEscape {
                if UInt8(ascii: "@")...UInt8(ascii: "~") ~= byte, byte != UInt8(ascii: "[") { inEscape = false }
                continue
            }
            switch byte {
            case 0x1b: inEscape = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if !inNumber { hasher.combine(UInt8(ascii: "#")) }
                inNumber = true
            // Within a number: 1.5, 00:10, 2,048 and 1/7 are one.
            case UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: ","), UInt8(ascii: "/"):
                if !inNumber { hasher.combine(byte) }
            case UInt8(ascii: " "), 0x09, 0x80...: continue
            default:
                inNumber = false
                hasher.combine(byte)
            }
        }
        return hasher.finalize()
    }
}
