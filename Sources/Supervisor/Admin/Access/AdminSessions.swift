import Fleet
import Synchronization

/// Who has logged in: random names that only a cookie and this table know. They end with the daemon, and with the
/// token that they were begun by.
final class AdminSessions: Sendable {
    /// How long a session lasts.
    static let lifetime: Duration = .seconds(12 * 3600)
    /// The most sessions at one time; the oldest gives way.
    static let most = 256

    private let sessions = Mutex<[String: Instant]>([:])

    /// Begins a session and returns its name.
    func begin(at now: Instant) -> String {
        var generator = SystemRandomNumberGenerator()
        let name = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.base64URL
        sessions.withLock { sessions in
            sessions = sessions.filter { $0.value > now }
            while sessions.count >= Self.most, let oldest = sessions.min(by: { $0.value < $1.value }) {
                sessions[oldest.key] = nil
            }
            sessions[name] = now + Self.lifetime
        }
        return name
    }

    /// Whether a session lives. A name has 256 random bits: a table's look-up tells nobody anything of use.
    func isAlive(_ name: String, at now: Instant) -> Bool {
        sessions.withLock { sessions in sessions[name].map { $0 > now } ?? false }
    }

    /// Ends a session.
    func end(_ name: String) {
        sessions.withLock { sessions in sessions[name] = nil }
    }

    /// Ends them all.
    func endAll() {
        sessions.withLock { sessions in sessions = [:] }
    }
}
