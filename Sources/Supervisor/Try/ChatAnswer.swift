/// The gateway's answer to a chat of the try box.
public struct ChatAnswer: Sendable {
    /// The HTTP status.
    public var status: Int
    /// The value of `Content-Type`.
    public var contentType: String?
    /// The instance that answered.
    public var instance: String?
    /// The body as it comes. Ends when nobody reads it any more; throws when the answer breaks off.
    public var body: AsyncThrowingStream<[UInt8], any Error>

    /// An answer.
    public init(
        status: Int, contentType: String?, instance: String?, body: AsyncThrowingStream<[UInt8], any Error>
    ) {
        self.status = status
        self.contentType = contentType
        self.instance = instance
        self.body = body
    }
}
