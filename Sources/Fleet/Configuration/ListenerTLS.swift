/// The gateway's own certificate, read again when its files change.
public struct ListenerTLS: Sendable, Hashable, Codable {
    /// A PEM file: the certificate, and behind it those that lead to its root.
    public var certificateFile: String
    /// A PEM file with the private key; it may be the same file.
    public var keyFile: String

    /// A certificate and its key.
    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}
