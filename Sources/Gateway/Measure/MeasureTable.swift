import Synchronization

/// Values by key, made when a key is first met: one loop writes, the control thread reads at any time. A fixed number
/// of keys, so that nothing a client does can make it grow.
struct MeasureTable<Value: ~Copyable>: ~Copyable {
    private let capacity: Int
    // Keys plus one; nought is an empty place.
    private let keys: UnsafeMutablePointer<Atomic<UInt64>>
    private let values: UnsafeMutablePointer<UnsafeMutablePointer<Value>?>

    /// An empty table; `capacity` is a power of two.
    init(capacity: Int) {
        self.capacity = capacity
        keys = .allocate(capacity: capacity)
        values = .allocate(capacity: capacity)
        for index in 0..<capacity { (keys + index).initialize(to: Atomic(0)) }
        values.initialize(repeating: nil, count: capacity)
    }

    deinit {
        for index in 0..<capacity {
            if let value = values[index] {
                value.deinitialize(count: 1)
                value.deallocate()
            }
        }
        keys.deinitialize(count: capacity)
        keys.deallocate()
        values.deallocate()
    }

    /// The value of a key, made where it is missing; nil when the table is full.
    @inline(__always) func value(_ key: UInt64, _ make: () -> Value) -> UnsafeMutablePointer<Value>? {
        var place = Int(truncatingIfNeeded: ((key &+ 1) &* 0x9e37_79b9_7f4a_7c15) &>> 40) & (capacity &- 1)
        for _ in 0..<capacity {
            let found = keys[place].load(ordering: .relaxed)
            if found == key &+ 1 { return values[place] }
            if found == 0 {
                let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)
                value.initialize(to: make())
                values[place] = value
                keys[place].store(key &+ 1, ordering: .releasing)
                return value
            }
            place = (place &+ 1) & (capacity &- 1)
        }
        return nil
    }

    /// Calls with each key and value.
    func each(_ body: (UInt64, UnsafeMutablePointer<Value>) -> Void) {
        for place in 0..<capacity {
            let key = keys[place].load(ordering: .acquiring)
            if key != 0, let value = values[place] { body(key &- 1, value) }
        }
    }
}
