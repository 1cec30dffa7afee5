import CLinux
import Glibc

/// epoll, edge-triggered: each connection is registered once, for both directions, and never again.
struct Poller {
    /// The most events of one turn.
    static let batch = 256

    /// Events, as epoll names them.
    static let readable: UInt32 = 0x001
    static let writable: UInt32 = 0x004
    static let error: UInt32 = 0x008
    static let hangUp: UInt32 = 0x010
    static let peerFinished: UInt32 = 0x2000
    private static let exclusive: UInt32 = 1 << 28
    private static let edge: UInt32 = 1 << 31

    private let descriptor: Int32
    /// The events of this turn.
    let events: UnsafeMutablePointer<epoll_event>

    /// A new epoll instance.
    init() {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(descriptor >= 0, "epoll_create1 failed")
        events = .allocate(capacity: Self.batch)
    }

    /// Registers a connection.
    @inline(__always) func add(_ socket: Int32, _ handle: Handle) -> Bool {
        var event = epoll_event()
        event.events = Self.readable | Self.writable | Self.peerFinished | Self.edge
        event.data.u64 = handle.raw
        return epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event) == 0
    }

    /// Registers a listening socket that other loops share: one of them is woken for a connection.
    func addListener(_ socket: Int32, _ handle: Handle) {
        var event = epoll_event()
        event.events = Self.readable | Self.exclusive
        event.data.u64 = handle.raw
        _ = epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event)
    }

    /// Registers an eventfd.
    func addWake(_ socket: Int32, _ handle: Handle) {
        var event = epoll_event()
        event.events = Self.readable
        event.data.u64 = handle.raw
        _ = epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event)
    }

    /// Forgets a socket that stays open elsewhere.
    func remove(_ socket: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, socket, &event)
    }

    /// Waits for events; how many came.
    @inline(__always) func wait(milliseconds: Int32) -> Int {
        Int(max(0, epoll_wait(descriptor, events, Int32(Self.batch), milliseconds)))
    }

    /// Gives everything back.
    func destroy() {
        _ = Glibc.close(descriptor)
        events.deallocate()
    }
}
