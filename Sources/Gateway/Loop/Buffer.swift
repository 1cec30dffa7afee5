import CLinux

/// Bytes between a beginning and an end in a piece of memory from a ``BufferPool``. Without memory it is empty and
/// costs its owner nothing: connections that idle hold none.
struct Buffer {
    /// The memory; nil while there is none.
    fileprivate(set) var base: UnsafeMutablePointer<UInt8>?
    /// The memory's size.
    fileprivate(set) var capacity = 0
    /// The first byte that is held.
    private(set) var start = 0
    /// Behind the last byte that is held.
    private(set) var end = 0

    /// A buffer without memory.
    init() {}

    /// How many bytes it holds.
    @inline(__always) var count: Int { end &- start }
    /// Whether it holds none.
    @inline(__always) var isEmpty: Bool { start == end }
    /// Room behind the end.
    @inline(__always) var room: Int { capacity &- end }
    /// Whether it has memory.
    @inline(__always) var hasMemory: Bool { base != nil }
    /// What it holds.
    @inline(__always) var view: ByteView { ByteView(UnsafePointer(base!) + start, count) }
    /// The place behind the end.
    @inline(__always) var tail: UnsafeMutablePointer<UInt8> { base! + end }

    /// The place of a held byte, counted from the first one.
    @inline(__always) func place(_ offset: Int) -> UnsafeMutablePointer<UInt8> {
        assert(offset >= 0 && start + offset <= end)
        return base! + start + offset
    }

    /// Says that so many bytes were written at ``tail``.
    @inline(__always) mutating func wrote(_ count: Int) {
        assert(count >= 0 && count <= room)
        end &+= count
    }

    /// Lets go of the first bytes.
    @inline(__always) mutating func drop(_ count: Int) {
        assert(count >= 0 && count <= self.count)
        start &+= count
        if start == end {
            start = 0
            end = 0
        }
    }

    /// Lets go of all but the first bytes.
    @inline(__always) mutating func keep(_ count: Int) {
        assert(count >= 0 && count <= self.count)
        end = start &+ count
    }

    /// Lets go of everything, keeps the memory.
    @inline(__always) mutating func clear() {
        start = 0
        end = 0
    }

    /// Moves what is held to the memory's beginning.
    mutating func compact() {
        guard start > 0, let base else { return }
        memmove(base, base + start, count)
        end = count
        start = 0
    }

    /// Appends; there must be room, which is checked in every build: an overrun must end the process, not corrupt it.
    @inline(__always) mutating func append(_ view: ByteView) {
        precondition(view.count <= room)
        if view.count > 0 { memcpy(tail, view.base, view.count) }
        end &+= view.count
    }
}

/// Memory for one loop's buffers, kept by size for the next who needs it. What is larger than ``sizes`` names, a long
/// prompt's body, is kept as long as such bodies come: fresh memory costs a page fault every 4 KiB.
struct BufferPool {
    /// The sizes that are kept.
    static let sizes = (small: 4 << 10, middle: 16 << 10, large: 64 << 10)
    private static let kept = (small: 1024, middle: 512, large: 64)

    private var small: UnsafeMutablePointer<UInt8>?
    private var middle: UnsafeMutablePointer<UInt8>?
    private var large: UnsafeMutablePointer<UInt8>?
    private var smallCount = 0
    private var middleCount = 0
    private var largeCount = 0
    // Those beyond: the newest first, their sizes in themselves; the fewest there were since the last trim.
    private var huge: UnsafeMutablePointer<UInt8>?
    private var hugeCount = 0
    private var hugeBytes = 0
    private var hugeUnused = 0
    private static let hugeLimit = (each: 4 << 20, all: 16 << 20)

    /// A pool with nothing kept.
    init() {}

    /// A buffer with room for at least so many bytes.
    @inline(__always) mutating func take(_ minimum: Int) -> Buffer {
        var buffer = Buffer()
        if minimum <= Self.sizes.small {
            buffer.capacity = Self.sizes.small
            buffer.base = Self.pop(&small, &smallCount) ?? .allocate(capacity: buffer.capacity)
        } else if minimum <= Self.sizes.middle {
            buffer.capacity = Self.sizes.middle
            buffer.base = Self.pop(&middle, &middleCount) ?? .allocate(capacity: buffer.capacity)
        } else if minimum <= Self.sizes.large {
            buffer.capacity = Self.sizes.large
            buffer.base = Self.pop(&large, &largeCount) ?? .allocate(capacity: buffer.capacity)
        } else {
            buffer = takeHuge(minimum)
        }
        return buffer
    }

    private struct HugeLink: BitwiseCopyable {
        var next: UnsafeMutablePointer<UInt8>?
        var capacity: Int
    }

    private mutating func takeHuge(_ minimum: Int) -> Buffer {
        var buffer = Buffer()
        var previous: UnsafeMutablePointer<UInt8>?
        var at = huge
        while let memory = at {
            let link = UnsafeRawPointer(memory).load(as: HugeLink.self)
            if link.capacity >= minimum, link.capacity / 4 <= minimum {
                unlinkHuge(link, behind: previous)
                hugeUnused = min(hugeUnused, hugeCount)
                buffer.base = memory
                buffer.capacity = link.capacity
                return buffer
            }
            previous = memory
            at = link.next
        }
        // In steps, so that bodies of nearly the same length share.
        buffer.capacity = (minimum &+ Self.sizes.large &- 1) / Self.sizes.large &* Self.sizes.large
        buffer.base = UnsafeMutableRawPointer.allocate(byteCount: buffer.capacity, alignment: 16)
            .assumingMemoryBound(to: UInt8.self)
        return buffer
    }

    private mutating func giveHuge(_ base: UnsafeMutablePointer<UInt8>, _ capacity: Int) {
        guard capacity <= Self.hugeLimit.each, hugeBytes &+ capacity <= Self.hugeLimit.all else {
            return base.deallocate()
        }
        UnsafeMutableRawPointer(base).storeBytes(of: HugeLink(next: huge, capacity: capacity), as: HugeLink.self)
        huge = base
        hugeCount &+= 1
        hugeBytes &+= capacity
    }

    private mutating func unlinkHuge(_ link: HugeLink, behind previous: UnsafeMutablePointer<UInt8>?) {
        if let previous {
            UnsafeMutableRawPointer(previous).storeBytes(of: link.next, as: UnsafeMutablePointer<UInt8>?.self)
        } else {
            huge = link.next
        }
        hugeCount &-= 1
        hugeBytes &-= link.capacity
    }

    /// Gives back what has been kept without use since the last call: for calling once a second.
    mutating func trim() {
        // The newest are used first, so the unused ones are the last.
        var previous: UnsafeMutablePointer<UInt8>?
        var at = huge
        for _ in 0..<max(0, hugeCount &- hugeUnused) {
            previous = at
            at = at.flatMap { UnsafeRawPointer($0).load(as: HugeLink.self).next }
        }
        while let memory = at {
            let link = UnsafeRawPointer(memory).load(as: HugeLink.self)
            unlinkHuge(link, behind: previous)
            memory.deallocate()
            at = link.next
        }
        hugeUnused = hugeCount
    }

    /// Takes a buffer's memory back.
    @inline(__always) mutating func give(_ buffer: inout Buffer) {
        guard let base = buffer.base else { return }
        switch buffer.capacity {
        case Self.sizes.small: Self.push(&small, &smallCount, base, Self.kept.small)
        case Self.sizes.middle: Self.push(&middle, &middleCount, base, Self.kept.middle)
        case Self.sizes.large: Self.push(&large, &largeCount, base, Self.kept.large)
        default: giveHuge(base, buffer.capacity)
        }
        buffer = Buffer()
    }

    /// Makes room behind a buffer's end for at least so many bytes, moving what it holds if need be.
    mutating func reserve(_ buffer: inout Buffer, _ more: Int) {
        if buffer.room >= more, buffer.hasMemory { return }
        if buffer.capacity - buffer.count >= more, buffer.hasMemory { return buffer.compact() }
        var larger = take(max(buffer.count + more, buffer.capacity * 2))
        if buffer.count > 0 { larger.append(buffer.view) }
        give(&buffer)
        buffer = larger
    }

    /// Appends, making room first.
    mutating func append(_ view: ByteView, to buffer: inout Buffer) {
        reserve(&buffer, view.count)
        buffer.append(view)
    }

    // A kept piece of memory holds the pointer to the next one.
    @inline(__always) private static func pop(
        _ list: inout UnsafeMutablePointer<UInt8>?, _ count: inout Int
    ) -> UnsafeMutablePointer<UInt8>? {
        guard let head = list else { return nil }
        list = UnsafeRawPointer(head).load(as: UnsafeMutablePointer<UInt8>?.self)
        count &-= 1
        return head
    }

    @inline(__always) private static func push(
        _ list: inout UnsafeMutablePointer<UInt8>?, _ count: inout Int, _ base: UnsafeMutablePointer<UInt8>,
        _ limit: Int
    ) {
        guard count < limit else { return base.deallocate() }
        UnsafeMutableRawPointer(base).storeBytes(of: list, as: UnsafeMutablePointer<UInt8>?.self)
        list = base
        count &+= 1
    }
}
