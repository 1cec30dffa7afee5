/// What a gateway without a key still asks of a request: a page in somebody's browser must not reach it, neither
/// by a name that was pointed here (DNS rebinding) nor by a form.
enum Openness {
    /// Why a request is refused, or nil.
    static func refusal(
        _ head: RequestHead, _ view: ByteView, _ table: HeaderTable, _ listeners: [GatewayOptions.Listener],
        isUnix: Bool
    ) -> ErrorCode? {
        if isUnix { return nil }
        guard head.host >= 0 else { return head.isVersion10 && head.origin < 0 ? nil : .invalidHost }
        let host = table.value(head.host, in: view)
        let name = withoutPort(host)
        guard isAddress(name) || isLoopbackName(name) || isListener(name, listeners) else { return .invalidHost }
        if head.origin >= 0 {
            let origin = table.value(head.origin, in: view)
            guard let authority = authority(of: origin), authority.equalsIgnoringCase(host) else {
                return .foreignOrigin
            }
        }
        return nil
    }

    /// A host without its port.
    static func withoutPort(_ host: ByteView) -> ByteView {
        if !host.isEmpty, host[0] == 0x5b {
            return host.slice(0, (host.firstIndex(of: 0x5d) ?? host.count - 1) + 1)
        }
        return host.slice(0, host.firstIndex(of: 0x3a) ?? host.count)
    }

    /// A numeric address: nobody can point one elsewhere.
    static func isAddress(_ name: ByteView) -> Bool {
        guard !name.isEmpty else { return false }
        if name[0] == 0x5b { return true }
        var dots = 0
        for index in 0..<name.count {
            if name[index] == 0x2e {
                dots += 1
            } else if name[index] &- 0x30 >= 10 {
                return false
            }
        }
        return dots == 3
    }

    private static func isLoopbackName(_ name: ByteView) -> Bool {
        if name.equalsIgnoringCase("localhost") { return true }
        return name.count > 10 && name.dropping(name.count - 10).equalsIgnoringCase(".localhost")
    }

    private static func isListener(_ name: ByteView, _ listeners: [GatewayOptions.Listener]) -> Bool {
        let text = name.string
        return listeners.contains { listener in
            var bytes = Array(listener.name.utf8)
            return bytes.withUnsafeMutableBufferPointer {
                guard let base = $0.baseAddress else { return false }
                return withoutPort(ByteView(base, $0.count)).string == text
            }
        }
    }

    private static func authority(of origin: ByteView) -> ByteView? {
        if origin.hasPrefix("http://") { return origin.dropping(7) }
        return origin.hasPrefix("https://") ? origin.dropping(8) : nil
    }
}
