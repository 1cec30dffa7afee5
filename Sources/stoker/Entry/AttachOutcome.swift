/// What `attach --json` and `detach --json` print.
struct AttachOutcome: Encodable {
    /// The server's name here.
    var name: String
    /// Whether it is routed to from now on.
    var attached: Bool
}
