@testable import Gateway

/// A passthrough path that is let through is one that no two servers read differently, and what is asked of the server
/// is what the allow-list was asked about.
enum PathProperty {
    static func check(_ bytes: [UInt8]) -> String? {
        // What reaches the path's own rules has been through the head's.
        guard bytes.allSatisfy({ ASCII.isPath($0) || $0 == 0x5c }) else { return nil }
        let route = withView(bytes) { Route.of($0) }
        if route != .unknown, ![.passthrough, .model, .response, .responseCancel].contains(route),
            !withView(bytes, { $0.equals(route.pattern) })
        {
            return "\(route) by another spelling"
        }
        let parsed: PassthroughPath
        do {
            parsed = try withView(bytes) { view throws(PassthroughPath.Failure) in try PassthroughPath(view) }
        } catch {
            return nil
        }
        return judge(parsed, bytes)
    }

    private static func judge(_ path: PassthroughPath, _ bytes: [UInt8]) -> String? {
        let canonical = path.canonical
        guard canonical.first == 0x2f, canonical.count > 1 else { return "no path" }
        for segment in canonical.dropFirst().split(separator: 0x2f, omittingEmptySubsequences: false).dropLast()
        where segment.isEmpty { return "an empty segment" }
        let segments = canonical.split(separator: 0x2f).map { String(decoding: $0, as: UTF8.self) }
        if segments.contains(".") || segments.contains("..") { return "a segment of dots" }
        if canonical.contains(0x5c) || canonical.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return "a bad byte" }
        // What a server that decodes the target once sees is what was matched.
        let target = String(decoding: path.target, as: UTF8.self)
        let seen = withView(path.target) { PercentCoding.decode($0) }
        let matched = String(decoding: canonical, as: UTF8.self)
        guard seen == matched || seen == "/v1" + matched else { return "\(target) for \(matched)" }
        guard path.target.allSatisfy(ASCII.isPath) else { return "a byte that no target has" }
        guard
            bytes.suffix(path.target.count - (target.hasPrefix("/v1/") && seen != matched ? 3 : 0))
                .elementsEqual(path.target.dropFirst(seen == matched ? 0 : 3))
        else { return "not as it came" }
        for method in [Method.get, .post] where path.isAllowed(method, by: []) {
            let list = method == .get ? PassthroughPath.readable : PassthroughPath.inference
            guard list.contains(where: { "\($0)" == matched }) else { return "allowed: \(matched)" }
            // Allowed by default means spelled in the one way that servers know.
            guard target == matched || target == "/v1" + matched else { return "allowed as \(target)" }
        }
        return nil
    }
}
