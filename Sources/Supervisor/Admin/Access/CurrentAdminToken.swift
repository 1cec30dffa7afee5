import Fleet
import Synchronization

/// The admin token as it is now: a reload may bring another one.
final class CurrentAdminToken: Sendable {
    private let token: Mutex<AdminToken>

    /// Beginning with a token.
    init(_ token: AdminToken) { self.token = Mutex(token) }

    /// Whether a candidate is the token.
    func matches(_ candidate: some StringProtocol) -> Bool { token.withLock { $0 }.matches(candidate) }

    /// Takes another one's place.
    ///
    /// - Returns: Whether it is another one.
    func become(_ new: AdminToken) -> Bool {
        token.withLock { token in
            if token.matches(new.secret.reveal()) { return false }
            token = new
            return true
        }
    }
}
