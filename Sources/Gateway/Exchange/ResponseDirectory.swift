import Synchronization

/// Which instance made which response, for `GET /v1/responses/{id}` and `previous_response_id`: the newest
/// ``capacity`` of them, by the instance's name.
final class ResponseDirectory: Sendable {
    /// The most ids remembered.
    static let capacity = 16_384

    private struct Memory {
        var makers: [[UInt8]: [UInt8]] = [:]
        var order: [[UInt8]] = []
        var next = 0
    }

    private let memory = Mutex(Memory())

    /// An empty directory.
    init() {}

    /// Remembers the maker of a response.
    func remember(_ id: [UInt8], instance: [UInt8]) {
        memory.withLock { memory in
            if memory.makers.updateValue(instance, forKey: id) != nil { return }
            if memory.order.count < Self.capacity {
                memory.order.append(id)
                return
            }
            memory.makers[memory.order[memory.next]] = nil
            memory.order[memory.next] = id
            memory.next = (memory.next + 1) % Self.capacity
        }
    }

    /// The name of the instance that made a response, if it is remembered.
    func maker(of id: [UInt8]) -> [UInt8]? { memory.withLock { $0.makers[id] } }
}
