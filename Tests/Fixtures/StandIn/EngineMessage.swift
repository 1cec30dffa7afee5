import CLinux
import Glibc

/// What head and engine say to each other over their socket: six numbers.
struct EngineMessage: Sendable {
    enum Kind: Int64, Sendable {
        // To the engine.
        /// A request: id, tokens to make, microseconds before the first, microseconds between, prompt tokens.
        case add = 1
        /// Forget a request: id.
        case abort
        /// Take no more: what comes is aborted; exit when the last is done.
        case drain

        // To the head.
        /// The engine can take requests.
        case ready = 16
        /// A token: id, its index, 1 when it is the last, 2 when the request was aborted instead.
        case token
        /// After each step: steps so far, requests running, requests waiting, tokens in this step.
        case step
    }

    var kind: Kind
    var id: Int64 = 0
    var a: Int64 = 0
    var b: Int64 = 0
    var c: Int64 = 0
    var d: Int64 = 0

    static let size = 48

    func append(to bytes: inout [UInt8]) {
        for word in [kind.rawValue, id, a, b, c, d] {
            withUnsafeBytes(of: word) { bytes += $0 }
        }
    }

    init(kind: Kind, id: Int64 = 0, a: Int64 = 0, b: Int64 = 0, c: Int64 = 0, d: Int64 = 0) {
        (self.kind, self.id, self.a, self.b, self.c, self.d) = (kind, id, a, b, c, d)
    }

    /// Takes all whole messages off the front of the bytes.
    static func take(from bytes: inout [UInt8]) -> [EngineMessage] {
        var messages: [EngineMessage] = []
        var at = 0
        bytes.withUnsafeBytes { raw in
            while at + size <= raw.count {
                func word(_ index: Int) -> Int64 { raw.loadUnaligned(fromByteOffset: at + index * 8, as: Int64.self) }
                if let kind = Kind(rawValue: word(0)) {
                    messages.append(
                        EngineMessage(kind: kind, id: word(1), a: word(2), b: word(3), c: word(4), d: word(5)))
                }
                at += size
            }
        }
        bytes.removeFirst(at)
        return messages
    }
}
