import Foundation

/// Keys and certificates made by the openssl command in a folder of their own.
final class Certificates: @unchecked Sendable {
    let folder: String

    init() {
        folder = NSTemporaryDirectory() + "tls\(UInt64.random(in: 0..<UInt64.max))/"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func path(_ name: String) -> String { folder + name }

    /// A self-signed certificate for these names as `NAME.pem`, its key as `NAME.key`.
    func make(_ name: String, subject: String, names: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-days", "2", "-subj", "/CN=\(subject)", "-addext", "subjectAltName=\(names)"]
            + ["-keyout", path(name + ".key"), "-out", path(name + ".pem")]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}
