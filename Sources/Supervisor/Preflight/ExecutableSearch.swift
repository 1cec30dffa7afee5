import Glibc

/// Finds a command as execvp(3) would.
enum ExecutableSearch {
    /// The file that a word runs; nil when there is none that may be executed.
    static func find(_ word: String, path: String) -> String? {
        if word.contains("/") { return isExecutable(word) ? word : nil }
        for directory in path.split(separator: ":", omittingEmptySubsequences: false) {
            let file = directory.isEmpty ? "./\(word)" : "\(directory)/\(word)"
            if isExecutable(file) { return file }
        }
        return nil
    }

    private static func isExecutable(_ file: String) -> Bool {
        var status = stat()
        return stat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(file, X_OK) == 0
    }
}
