import Fleet

/// What a probe's strings must be before they become a request's head.
enum HTTPProbeText {
    /// A sentence when a value would break out of its line of the head; the value itself is never in it.
    static func problem(in probe: HTTPProbe) -> String? {
        let endpoint = probe.endpoint
        if !isPlain(probe.method) || !isPlain(probe.path) || !probe.path.hasPrefix("/") {
            return "the probe's method or path cannot be sent"
        }
        if !isPlain(endpoint.basePath) { return "the base URL's path has spaces or control characters" }
        if !isPlain(endpoint.host) { return "the host name has spaces or control characters" }
        if let tls = endpoint.tls, !isPlain(tls.serverName) || tls.serverName.isEmpty {
            return "the TLS server name is empty or has spaces or control characters"
        }
        if let key = probe.apiKey, key.reveal().utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            return "the provider's API key has control characters, perhaps a line feed: correct its file or variable"
        }
        return nil
    }

    /// A name or numeric address as it stands in a URL: IPv6 in brackets, its zone escaped.
    static func bracketed(_ host: String) -> String {
        guard host.contains(":"), !host.hasPrefix("[") else { return host }
        guard let percent = host.firstIndex(of: "%") else { return "[\(host)]" }
        return "[\(host[..<percent])%25\(host[host.index(after: percent)...])]"
    }

    private static func isPlain(_ text: String) -> Bool { !text.utf8.contains { $0 <= 0x20 || $0 == 0x7f } }
}
