import Synchronization

/// What `/v1/responses/{id}` finds: one process's dictionary, as in vLLM.
final class ResponseStore: Sendable {
    private let responses = Mutex<[String: JSON]>([:])

    subscript(_ id: String) -> JSON? {
        get { responses.withLock { $0[id] } }
        set { responses.withLock { $0[id] = newValue } }
    }
}
