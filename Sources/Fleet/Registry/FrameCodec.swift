import FoundationEssentials

/// The registry socket's framing: each message is its length as four bytes, big end first, and then that many
/// bytes of JSON. JSON because the two ends can be of different builds during an upgrade: unknown keys are ignored,
/// new ones are optional.
public struct FrameCodec: Sendable {
    /// The longest frame that is accepted, in bytes: a fleet's snapshot is some hundreds of KiB at most.
    public static let longestFrame = 64 << 20

    /// Why a frame cannot be read.
    public enum Failure: Error, Hashable, CustomStringConvertible {
        /// The length is over ``longestFrame``: the peer does not speak this protocol.
        case tooLong(Int)

        /// A sentence for the log.
        public var description: String {
            switch self {
            case .tooLong(let length):
                return "a registry frame of \(length) bytes is longer than \(FrameCodec.longestFrame): "
                    + "the peer is not a stoker process of a compatible version"
            }
        }
    }

    private var buffer: [UInt8] = []

    /// A decoder with nothing read yet.
    public init() {}

    /// A message as a frame.
    public static func encode<Message: Encodable>(_ message: Message) throws -> [UInt8] {
        frame([UInt8](try JSONEncoder().encode(message)))
    }

    /// What a gateway says as a frame. The message that comes again and again, a report, is written without Foundation.
    public static func encode(_ message: GatewayMessage) throws -> [UInt8] {
        guard case .report(let report) = message else { return frame([UInt8](try JSONEncoder().encode(message))) }
        return frame(ReportText(report).bytes)
    }

    private static func frame(_ body: [UInt8]) -> [UInt8] {
        let length = UInt32(body.count)
        var frame: [UInt8] = []
        frame.reserveCapacity(body.count + 4)
        frame.append(UInt8(truncatingIfNeeded: length >> 24))
        frame.append(UInt8(truncatingIfNeeded: length >> 16))
        frame.append(UInt8(truncatingIfNeeded: length >> 8))
        frame.append(UInt8(truncatingIfNeeded: length))
        frame.append(contentsOf: body)
        return frame
    }

    /// Takes bytes as they were read from the socket.
    public mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole message, or nil until more bytes have come.
    public mutating func next<Message: Decodable>(_ type: Message.Type) throws -> Message? {
        guard buffer.count >= 4 else { return nil }
        let length = buffer[0..<4].reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.longestFrame else { throw Failure.tooLong(length) }
        guard buffer.count >= 4 + length else { return nil }
        let body = Data(buffer[4..<(4 + length)])
        buffer.removeFirst(4 + length)
        return try JSONDecoder().decode(type, from: body)
    }
}
