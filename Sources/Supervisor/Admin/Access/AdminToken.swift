import Fleet
import Glibc

/// The token that opens the admin side to whoever is not on its Unix socket: read from `admin.token_file`, else made at
/// the first start and kept as `admin.token` in the state directory, mode 0600.
public struct AdminToken: Sendable {
    private let bytes: [UInt8]

    /// A known token.
    public init(_ secret: Secret) { bytes = Array(secret.reveal().utf8) }

    /// The file that a daemon's token is in.
    public static func path(configured: String?, stateDirectory: String) -> String {
        configured ?? "\(stateDirectory)/admin.token"
    }

    /// One that nobody knows.
    static func nobodys() -> AdminToken {
        var generator = SystemRandomNumberGenerator()
        return AdminToken(Secret((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.base64URL))
    }

    /// Reads the token; where none is configured and none was made yet, makes one.
    ///
    /// - Parameters:
    ///   - file: `admin.token_file`; nil for the one in the state directory.
    ///   - stateDirectory: Made with mode 0700 where it is missing.
    ///   - masterKey: The gateway's key: a token file that holds it is refused.
    public static func load(
        file: String?, stateDirectory: String, masterKey: Secret?
    ) throws(Failure) -> AdminToken {
        let path = path(configured: file, stateDirectory: stateDirectory)
        if file == nil, access(path, F_OK) != 0 { try make(at: path, in: stateDirectory) }
        let token = try read(path)
        if let masterKey, AdminToken(masterKey).bytes == token.bytes { throw .isMasterKey(path) }
        return token
    }

    /// Reads the token of a file that exists.
    public static func read(_ path: String) throws(Failure) -> AdminToken {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path, reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw .unreadable(path, reason: String(cString: strerror(errno))) }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        let word = text.split(whereSeparator: { $0.isWhitespace })
        guard word.count == 1, count < buffer.count else { throw .malformed(path) }
        return AdminToken(Secret(String(word[0])))
    }

    /// The token as a secret, for `stoker token`.
    public var secret: Secret { Secret(String(decoding: bytes, as: UTF8.self)) }

    /// Whether a candidate is this token, in a time that tells nothing of the token but perhaps its length.
    public func matches(_ candidate: some StringProtocol) -> Bool {
        var difference: UInt8 = 0
        var length = 0
        for byte in candidate.utf8 {
            difference |= byte ^ bytes[length % bytes.count]
            length += 1
        }
        return difference == 0 && length == bytes.count
    }

    /// Makes a token beside the path and links it there, so that nobody ever reads half of one and the first of two wins.
    private static func make(at path: String, in directory: String) throws(Failure) {
        guard FileSystem.makeDirectory(directory, mode: 0o700) else {
            throw .notMade(path, reason: String(cString: strerror(errno)))
        }
        let token = nobodys().secret.reveal() + "\n"
        let draft = "\(path).\(getpid())"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .notMade(path, reason: String(cString: strerror(errno))) }
        defer { unlink(draft) }
        let bytes = Array(token.utf8)
        let written = write(descriptor, bytes, bytes.count)
        let kept = fsync(descriptor)
        close(descriptor)
        guard written == bytes.count, kept == 0, link(draft, path) == 0 || errno == EEXIST else {
            throw .notMade(path, reason: String(cString: strerror(errno)))
        }
    }

    /// Why there is no token. Each has a sentence that says what to do.
    public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// The file is missing or may not be read.
        case unreadable(String, reason: String)
        /// The file does not hold exactly one word.
        case malformed(String)
        /// The file holds the gateway's master key.
        case isMasterKey(String)
        /// A new one could not be written.
        case notMade(String, reason: String)

        /// The sentence.
        public var description: String {
            switch self {
            case .unreadable(let path, let reason):
                return "the admin token \(path) cannot be read (\(reason)): let root or the daemon's user read it, "
                    + "or leave admin.token_file out and one is made in the state directory"
            case .malformed(let path):
                return "the admin token \(path) is to hold one word and nothing else: write one into it, such as "
                    + "'openssl rand -hex 32' prints"
            case .isMasterKey(let path):
                return "the admin token \(path) is the gateway's master key, which every client has: "
                    + "write another one into it"
            case .notMade(let path, let reason):
                return "the admin token \(path) cannot be written (\(reason)): let the daemon's user write the state "
                    + "directory, or name a file of your own in admin.token_file"
            }
        }
    }
}

extension [UInt8] {
    /// Base 64 in the alphabet of URLs, without padding (RFC 4648, section 5).
    var base64URL: String {
        let alphabet = Array<UInt8>("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: count, by: 3) {
            let group = self[start..<Swift.min(start + 3, count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0...group.count { text.append(alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
