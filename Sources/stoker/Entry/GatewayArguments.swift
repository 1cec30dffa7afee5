/// The arguments of the hidden `stoker gateway`, which only the supervisor writes:
/// `--registry PATH --listener FD=NAME … --loops N`.
struct GatewayArguments: Equatable {
    /// The word that asks for it.
    static let word = "gateway"

    /// The registry's socket.
    var registry: String
    /// Inherited listening sockets: the descriptor and the address in the configuration's words.
    var listeners: [Listener] = []
    /// Event loops, at least 1.
    var loops = 1

    /// An inherited socket.
    struct Listener: Equatable {
        var descriptor: Int32
        var name: String
    }

    /// What is wrong with them.
    struct Malformed: Error, CustomStringConvertible {
        var description: String
    }

    /// Reads them.
    init(_ arguments: [String]) throws {
        var registry: String?
        var rest = arguments[...]
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Malformed(description: "\(option) lacks its value") }
            switch option {
            case "--registry": registry = value
            case "--loops":
                guard let number = Int(value), (1...1024).contains(number) else {
                    throw Malformed(description: "--loops \(value) is no number from 1 to 1024")
                }
                loops = number
            case "--listener":
                let parts = value.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2, let descriptor = Int32(parts[0]), descriptor > 2 else {
                    throw Malformed(description: "--listener \(value) is not DESCRIPTOR=NAME")
                }
                listeners.append(Listener(descriptor: descriptor, name: parts[1]))
            default: throw Malformed(description: "\(option) is not known here")
            }
        }
        guard let registry else { throw Malformed(description: "--registry is missing") }
        guard !listeners.isEmpty else { throw Malformed(description: "--listener is missing") }
        self.registry = registry
    }
}
