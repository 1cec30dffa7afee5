import COpenSSL
import Fleet
import Glibc

/// TLS contexts, made and kept by the control thread: the listener's, made anew when its files change, and one for each
/// file of roots that servers are verified by.
struct TLSContexts {
    /// Which files a context was made of, as they were then.
    private struct Stamp: Equatable {
        var paths: [String]
        var stats: [[Int]]

        init(_ paths: [String]) {
            self.paths = paths
            stats = paths.map { path in
                var status = stat()
                guard stat(path, &status) == 0 else { return [] }
                return [
                    Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec), Int(status.st_ino), Int(status.st_size),
                ]
            }
        }
    }

    private struct Made {
        var stamp: Stamp
        var context: UnsafeMutableRawPointer?
    }

    private var listener: Made?
    private var servers: [String: Made] = [:]
    // What loops may still be about to use: kept for a while.
    private var old: [(context: UnsafeMutableRawPointer, since: UInt64)] = []
    private static let grace: UInt64 = 60_000_000_000

    /// None.
    init() {}

    /// The listener's context for these settings: a new one when the files are others than those of the last one. When
    /// they cannot be used, the last one goes on; nil when there never was one.
    mutating func ofListener(_ settings: ListenerTLS, now: UInt64) -> UnsafeMutableRawPointer? {
        let stamp = Stamp([settings.certificateFile, settings.keyFile])
        if let listener, listener.stamp == stamp { return listener.context }
        var why = [CChar](repeating: 0, count: 200)
        let context = stoker_tls_server_context(settings.certificateFile, settings.keyFile, &why, why.count)
        if let context {
            GatewayLog.info(
                "the listener's certificate was loaded", [("certificate_file", settings.certificateFile)])
            if let last = listener?.context { old.append((last, now)) }
            listener = Made(stamp: stamp, context: context)
        } else {
            GatewayLog.error(
                "the listener's certificate cannot be used; what was loaded before goes on",
                [("certificate_file", settings.certificateFile), ("reason", Self.text(why))])
            listener = Made(stamp: stamp, context: listener?.context)
        }
        return listener?.context
    }

    /// The context for servers verified by this file of roots, or by the system's for nil; nil when it cannot be used.
    mutating func ofServers(roots: String?, now: UInt64) -> UnsafeMutableRawPointer? {
        let key = roots ?? ""
        let stamp = Stamp(roots.map { [$0] } ?? [])
        if let made = servers[key], made.stamp == stamp { return made.context }
        var why = [CChar](repeating: 0, count: 200)
        let context = stoker_tls_client_context(roots, &why, why.count)
        if context == nil {
            GatewayLog.error(
                "the roots for an https server cannot be used",
                [("ca_file", roots ?? "the system's"), ("reason", Self.text(why))])
        }
        if let last = servers[key]?.context { old.append((last, now)) }
        servers[key] = Made(stamp: stamp, context: context)
        return context
    }

    /// Gives back what no loop can use any more.
    mutating func sweep(now: UInt64) {
        old.removeAll { entry in
            guard now >= entry.since + Self.grace else { return false }
            stoker_tls_context_free(entry.context)
            return true
        }
    }

    private static func text(_ why: [CChar]) -> String {
        why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
