import Fleet

/// Looks names up. One real implementation (getaddrinfo on a thread of its own), one fake in the tests.
public protocol Resolver: Sendable {
    /// The numeric addresses that a host name stands for, in the resolver's order, or a sentence that says why there
    /// are none.
    func resolve(host: String, port: UInt16) async -> Resolution
}

/// What a name stands for.
public enum Resolution: Sendable, Hashable {
    /// At least one address.
    case addresses([Endpoint.Address])
    /// None; the sentence says why.
    case failure(String)
}
