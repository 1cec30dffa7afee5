/// What epoll gives back with an event: a kind, a place in a table, and the generation of what was there, so that an
/// event of a connection that is gone is found out, not followed.
struct Handle: Equatable {
    /// What an event is about.
    enum Kind: UInt8 {
        case client, upstream, listener, wake
    }

    /// As epoll keeps it: generation in the high half, then the index, then two bits of kind.
    let raw: UInt64

    /// A handle as epoll gave it back.
    @inline(__always) init(raw: UInt64) { self.raw = raw }

    /// A handle of something at an index.
    @inline(__always) init(_ kind: Kind, index: UInt32, generation: UInt32) {
        assert(index < 1 << 30)
        raw = UInt64(generation) &<< 32 | UInt64(index) &<< 2 | UInt64(kind.rawValue)
    }

    /// What it is about.
    @inline(__always) var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: raw & 3)).unsafelyUnwrapped }
    /// The place.
    @inline(__always) var index: UInt32 { UInt32(truncatingIfNeeded: raw) &>> 2 }
    /// The generation.
    @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: raw &>> 32) }
}

/// What lives in a ``Slab``.
protocol Slotted {
    /// A value for an empty place.
    init(index: UInt32)
    /// Grows each time the place is used anew.
    var generation: UInt32 { get set }
    /// The place.
    var index: UInt32 { get }
    /// The next free place, as long as this one is free.
    var nextFree: UInt32 { get set }
}

/// A table of connections in plain memory: places never move, freed ones are used again with a new generation.
struct Slab<Element: Slotted> {
    private static var pageSize: Int { 256 }
    /// No place.
    static var nowhere: UInt32 { .max }

    private var pages: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var pageCount = 0
    private var pageCapacity = 4096
    private var firstFree = Self.nowhere
    /// How many are in use.
    private(set) var count = 0

    /// An empty table of at most a million places.
    init() { pages = .allocate(capacity: pageCapacity) }

    /// The most places there can be.
    var limit: Int { pageCapacity * Self.pageSize }

    /// The place at an index that has been given out before.
    @inline(__always) subscript(index: UInt32) -> UnsafeMutablePointer<Element> {
        assert(Int(index) < pageCount * Self.pageSize)
        return pages[Int(index &>> 8)] + Int(index & 255)
    }

    /// A free place, or nil when the table is full.
    mutating func take() -> UnsafeMutablePointer<Element>? {
        if firstFree == Self.nowhere {
            guard pageCount < pageCapacity else { return nil }
            let page = UnsafeMutablePointer<Element>.allocate(capacity: Self.pageSize)
            let first = UInt32(pageCount * Self.pageSize)
            for offset in (0..<UInt32(Self.pageSize)).reversed() {
                (page + Int(offset)).initialize(to: Element(index: first + offset))
                page[Int(offset)].nextFree = firstFree
                firstFree = first + offset
            }
            pages[pageCount] = page
            pageCount += 1
        }
        let slot = self[firstFree]
        firstFree = slot.pointee.nextFree
        count += 1
        return slot
    }

    /// Gives a place back: its handles are stale from now on.
    mutating func give(_ slot: UnsafeMutablePointer<Element>) {
        let index = slot.pointee.index
        let generation = slot.pointee.generation &+ 1
        slot.pointee = Element(index: index)
        slot.pointee.generation = generation
        slot.pointee.nextFree = firstFree
        firstFree = index
        count -= 1
    }

    /// Calls with every place, used or not.
    func each(_ body: (UnsafeMutablePointer<Element>) -> Void) {
        for page in 0..<pageCount { for offset in 0..<Self.pageSize { body(pages[page] + offset) } }
    }

    /// Gives all memory back; nothing may be used afterwards.
    mutating func destroy() {
        for page in 0..<pageCount { pages[page].deallocate() }
        pages.deallocate()
        pageCount = 0
    }
}
