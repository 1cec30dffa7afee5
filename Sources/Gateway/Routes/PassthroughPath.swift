/// The path of a passthrough request, `/p/{name}/{path}`, taken apart and judged.
struct PassthroughPath: Equatable {
    /// Why a path is refused before anything else is looked at.
    enum Failure: Error, Equatable {
        /// Segments of dots, `//`, a backslash, `%2F`, `%00`, an encoded unreserved character, or a broken escape.
        case invalid
        /// No name, or nothing behind it.
        case incomplete
    }

    /// The provider, instance or type that is asked for.
    var name: [UInt8]
    /// The decoded path with a slash in front and without a leading `v1/`: what allow-lists are matched with.
    var canonical: [UInt8]
    /// The path at the server, still encoded: `/v1/…` for OpenAI-style paths, else from the root.
    var target: [UInt8]

    /// Paths that live under `/v1` at the server.
    static let underV1: [StaticString] = [
        "/models", "/chat/completions", "/completions", "/responses", "/embeddings", "/messages",
        "/messages/count_tokens", "/audio/transcriptions", "/audio/translations", "/load_lora_adapter",
        "/unload_lora_adapter",
    ]

    /// What GET (and HEAD) may read by default.
    static let readable: [StaticString] = [
        "/models", "/health", "/ping", "/load", "/version", "/metrics", "/tokenizer_info",
    ]

    /// What POST may reach by default.
    static let inference: [StaticString] = [
        "/chat/completions", "/completions", "/responses", "/embeddings", "/messages", "/messages/count_tokens",
        "/rerank", "/v2/rerank", "/score", "/pooling", "/classify", "/tokenize", "/detokenize",
        "/audio/transcriptions", "/audio/translations", "/v2/embed", "/generative_scoring",
    ]

    /// Whether its answer is the engine's work.
    var asksEngine: Bool {
        Self.any(canonical, Self.inference)
            && !Self.any(canonical, ["/messages/count_tokens", "/tokenize", "/detokenize"])
    }

    /// Whether it changes an instance's adapters, so that an instance must be named where there are several.
    var isAdapterChange: Bool { Self.any(canonical, ["/load_lora_adapter", "/unload_lora_adapter"]) }

    /// The dialect of its errors.
    var dialect: Dialect {
        if Self.any(canonical, ["/messages", "/messages/count_tokens"]) { return .anthropic }
        return Self.any(canonical, ["/responses"]) ? .responses : .openAI
    }

    /// Takes apart what follows `/p/`, query left out.
    init(_ rest: ByteView) throws(Failure) {
        guard let slash = rest.firstIndex(of: 0x2f) else { throw .incomplete }
        name = rest.slice(0, slash).array
        // Names have none of these: it is another spelling of one, or of a path.
        if name.isEmpty || name == [0x2e] || name == [0x2e, 0x2e] || name.contains(0x25) || name.contains(0x5c) {
            throw .invalid
        }
        let path = rest.dropping(slash)
        guard path.count > 1 else { throw .incomplete }
        let decoded = try Self.decoded(path)
        for segment in decoded.dropFirst().split(separator: 0x2f, omittingEmptySubsequences: false)
        where segment.elementsEqual([0x2e]) || segment.elementsEqual([0x2e, 0x2e]) {
            throw .invalid
        }
        var encoded = path
        var matched = ArraySlice(decoded)
        if matched.starts(with: Array("/v1/".utf8)), path.hasPrefix("/v1/") {
            matched = matched.dropFirst(3)
            encoded = path.dropping(3)
        }
        guard matched.count > 1 else { throw .incomplete }
        canonical = Array(matched)
        target = (Self.any(canonical, Self.underV1) ? Array("/v1".utf8) : []) + encoded.array
    }

    /// The decoded path, or a refusal.
    private static func decoded(_ path: ByteView) throws(Failure) -> [UInt8] {
        var out: [UInt8] = []
        var at = 0
        while at < path.count {
            let byte = path[at]
            at += 1
            if byte == 0x5c || (byte == 0x2f && out.last == 0x2f) { throw .invalid }
            guard byte == 0x25 else {
                out.append(byte)
                continue
            }
            guard at + 1 < path.count, let high = ASCII.hexValue(path[at]), let low = ASCII.hexValue(path[at + 1])
            else { throw .invalid }
            at += 2
            let value = high << 4 | low
            switch value {
            case 0x00...0x1f, 0x2f, 0x5c, 0x7f: throw .invalid
            // Unreserved (RFC 3986 §2.3): another spelling of the same path, which a filter in front would not see.
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: throw .invalid
            default: out.append(value)
            }
        }
        return out
    }

    /// Whether it may be reached: by default, or by one of a provider's entries such as `POST /sleep`.
    func isAllowed(_ method: Method, by entries: [String]) -> Bool {
        switch method {
        case .get, .head: if Self.any(canonical, Self.readable) { return true }
        case .post: if Self.any(canonical, Self.inference) { return true }
        default: break
        }
        guard let name = Self.name(of: method) else { return false }
        return entries.contains { entry in
            let parts = entry.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0] == name || (parts[0] == "GET" && method == .head) else { return false }
            var path = Array(parts[1].utf8)
            if path.first != 0x2f { path.insert(0x2f, at: 0) }
            if path.starts(with: Array("/v1/".utf8)) { path.removeFirst(3) }
            return path == canonical
        }
    }

    /// The entry that would allow it.
    func entry(_ method: Method) -> String {
        "\(Self.name(of: method == .head ? .get : method) ?? "POST") \(String(decoding: canonical, as: UTF8.self))"
    }

    private static func name(of method: Method) -> String? {
        switch method {
        case .get: return "GET"
        case .head: return "HEAD"
        case .post: return "POST"
        case .put: return "PUT"
        case .delete: return "DELETE"
        case .patch: return "PATCH"
        case .options: return "OPTIONS"
        case .other: return nil
        }
    }

    private static func any(_ path: [UInt8], _ list: [StaticString]) -> Bool {
        path.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return false }
            return list.contains { ByteView(base, bytes.count).equals($0) }
        }
    }
}
