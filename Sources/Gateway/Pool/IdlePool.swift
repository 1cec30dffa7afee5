/// One loop's idle connections to servers: by run, newest first, for use; by age, oldest first, for closing.
struct IdlePool {
    /// The most idle connections to one run.
    static let limitPerRun = 512
    /// How long one is kept: more than vLLM's 5 s has no use but for servers told to keep them longer.
    static let longest: UInt64 = 30_000_000_000

    private let loop: Int
    private var oldest: UnsafeMutablePointer<UpstreamConnection>?
    private var newest: UnsafeMutablePointer<UpstreamConnection>?

    /// The pool of the loop of this index.
    init(loop: Int) { self.loop = loop }

    /// Whether one more may be kept for a run.
    @inline(__always) func hasRoom(for run: RunPointer) -> Bool {
        run.pointee.lines[loop].idleCount < Self.limitPerRun
    }

    /// Keeps a connection.
    @inline(__always) mutating func put(_ upstream: UnsafeMutablePointer<UpstreamConnection>, now: UInt64) {
        guard let run = upstream.pointee.run else { return }
        let line = run.pointee.lines + loop
        upstream.pointee.idleSince = now
        upstream.pointee.previousOfRun = nil
        upstream.pointee.nextOfRun = line.pointee.idle
        line.pointee.idle?.pointee.previousOfRun = upstream
        line.pointee.idle = upstream
        line.pointee.idleCount &+= 1
        upstream.pointee.nextIdle = nil
        upstream.pointee.previousIdle = newest
        newest?.pointee.nextIdle = upstream
        newest = upstream
        if oldest == nil { oldest = upstream }
    }

    /// The newest idle connection to a run, still in the pool.
    @inline(__always) func first(for run: RunPointer) -> UnsafeMutablePointer<UpstreamConnection>? {
        run.pointee.lines[loop].idle
    }

    /// The oldest idle connection of all.
    var first: UnsafeMutablePointer<UpstreamConnection>? { oldest }

    /// Takes a connection out, to use or to close it.
    @inline(__always) mutating func remove(_ upstream: UnsafeMutablePointer<UpstreamConnection>) {
        guard let run = upstream.pointee.run else { return }
        let line = run.pointee.lines + loop
        if let previous = upstream.pointee.previousOfRun {
            previous.pointee.nextOfRun = upstream.pointee.nextOfRun
        } else {
            line.pointee.idle = upstream.pointee.nextOfRun
        }
        upstream.pointee.nextOfRun?.pointee.previousOfRun = upstream.pointee.previousOfRun
        line.pointee.idleCount &-= 1
        if let previous = upstream.pointee.previousIdle {
            previous.pointee.nextIdle = upstream.pointee.nextIdle
        } else {
            oldest = upstream.pointee.nextIdle
        }
        if let next = upstream.pointee.nextIdle {
            next.pointee.previousIdle = upstream.pointee.previousIdle
        } else {
            newest = upstream.pointee.previousIdle
        }
        upstream.pointee.nextOfRun = nil
        upstream.pointee.previousOfRun = nil
        upstream.pointee.nextIdle = nil
        upstream.pointee.previousIdle = nil
    }
}
