/// Where a server's connection is.
enum UpstreamPhase: UInt8 {
    /// Not in use. Next: connecting.
    case free
    /// connect(2) has not finished. Next: busy, free.
    case connecting
    /// Works for a client. Next: idle, free.
    case busy
    /// Kept for the next request. Next: busy, free.
    case idle
}

/// A connection to a server, on the same loop as the client it works for.
struct UpstreamConnection: Slotted {
    let index: UInt32
    var generation: UInt32 = 1
    var nextFree: UInt32 = .max

    var socket = Socket()
    var phase = UpstreamPhase.free
    /// Whether it has served a request before.
    var isReused = false
    /// Whether bytes may wait in the socket that were not read.
    var isReadable = false
    /// Whether the server has finished sending.
    var isFinished = false
    /// Whether it waits for another go at the end of the turn.
    var isDeferred = false
    var client: UnsafeMutablePointer<ClientConnection>?
    var run: RunPointer?
    /// Which address it goes to.
    var addressID: UInt64 = 0
    /// The beginning of a head that has not come whole.
    var partial = Buffer()
    /// How many interim responses (1xx) have come before the one that counts.
    var interim: UInt16 = 0
    /// Since when it has been idle, in nanoseconds.
    var idleSince: UInt64 = 0

    // Among the idle ones of its run, newest first, and among all idle ones of the loop, oldest first.
    var nextOfRun: UnsafeMutablePointer<UpstreamConnection>?
    var previousOfRun: UnsafeMutablePointer<UpstreamConnection>?
    var nextIdle: UnsafeMutablePointer<UpstreamConnection>?
    var previousIdle: UnsafeMutablePointer<UpstreamConnection>?

    init(index: UInt32) { self.index = index }

    /// What epoll knows it by.
    @inline(__always) var handle: Handle { Handle(.upstream, index: index, generation: generation) }
}
