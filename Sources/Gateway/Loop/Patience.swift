/// Time limits that are not configured, in nanoseconds. None of them is a request's whole time: each is of one step, and
/// a stream that goes on has none.
struct Patience: Equatable {
    /// For a head, from its first byte, and for a TLS handshake.
    var head: UInt64 = 15_000_000_000
    /// For the next bytes of a body.
    var body: UInt64 = 30_000_000_000
    /// For the next request on a kept connection.
    var idle: UInt64 = 75_000_000_000
    /// For a client to close after its last response.
    var linger: UInt64 = 2_000_000_000
    /// How long first bytes of a response are held.
    var hold: UInt64 = 50_000_000
    /// For requests already on their way when the gateway retires.
    var retireGrace: UInt64 = 1_000_000_000

    /// The ordinary ones.
    init() {}
}
