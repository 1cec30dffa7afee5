import Glibc

/// Which Python runs a command such as `vllm`: read from the script's first lines. Pure but for the lookup on PATH.
enum EngineInterpreter {
    /// The file that a command word stands for, looked up in PATH where it has no slash; nil where there is none that
    /// can be executed.
    static func resolve(_ word: String, path: String?) -> String? {
        if word.contains("/") { return access(word, X_OK) == 0 ? word : nil }
        for folder in (path ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":", omittingEmptySubsequences: false) {
            let candidate = folder.isEmpty ? "./\(word)" : "\(folder)/\(word)"
            var info = stat()
            guard stat(candidate, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { continue }
            if access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }

    /// The Python interpreter behind a command; nil where it is no Python.
    ///
    /// - Parameters:
    ///   - file: The command's file, resolved.
    ///   - head: Its first bytes.
    ///   - resolve: Finds a word on PATH.
    static func find(file: String, head: [UInt8], resolve: (String) -> String?) -> String? {
        if isPython(file) { return file }
        guard head.starts(with: Array("#!".utf8)) else { return nil }
        let lines = String(decoding: head, as: UTF8.self).split(
            separator: "\n", maxSplits: 3, omittingEmptySubsequences: false)
        let words = lines[0].dropFirst(2).split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" }).map(
            String.init)
        guard let program = words.first else { return nil }
        if isPython(program) { return program }
        let name = program.split(separator: "/").last.map(String.init) ?? program
        if name == "env" {
            // `env python3`, `env -S python3 -u`, `env NAME=value python3`
            guard let word = words.dropFirst().first(where: { !$0.hasPrefix("-") && !$0.contains("=") }), isPython(word)
            else { return nil }
            return resolve(word)
        }
        if name == "sh", lines.count > 1 {
            // pip's way around a path too long for a first line:  '''exec' "/a long/path/python" "$0" "$@"
            let line = lines[1]
            guard line.hasPrefix("'''exec' ") else { return nil }
            let rest = line.dropFirst("'''exec' ".count)
            let path: Substring
            if rest.hasPrefix("\"") {
                path = rest.dropFirst().prefix { $0 != "\"" }
            } else {
                path = rest.prefix { $0 != " " }
            }
            return isPython(String(path)) ? String(path) : nil
        }
        return nil
    }

    private static func isPython(_ path: String) -> Bool {
        let name = path.split(separator: "/").last ?? ""
        return name.hasPrefix("python") || name.hasPrefix("pypy")
    }
}
