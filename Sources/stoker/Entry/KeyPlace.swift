/// Where a key stands in a YAML file, for problems that are found after the file was read.
struct KeyPlace: Equatable {
    /// From 1.
    var line: Int
    /// From 1.
    var column: Int

    /// The place of a path such as `providers.chat.gpus`, or of the nearest key above it; nil when not even the first key
    /// is there. Reads block style by its indentation; a key in flow style is taken for the line of the key above it.
    static func find(_ path: String, in text: String) -> KeyPlace? {
        var wanted = path.split(separator: ".").map(String.init)[...]
        var found: KeyPlace?
        var indentation = -1
        var level: Int?
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let content = line.drop { $0 == " " }
            guard let first = content.first, first != "#", first != "\r", !content.hasPrefix("---") else { continue }
            let depth = line.count - content.count
            // Back at the found key's own depth or less: the key below it is not there.
            if depth <= indentation { break }
            if level == nil { level = depth }
            guard let key = wanted.first, depth == level, isKey(content, key) else { continue }
            found = KeyPlace(line: number + 1, column: depth + 1)
            wanted.removeFirst()
            (indentation, level) = (depth, nil)
            if wanted.isEmpty { break }
        }
        return found
    }

    private static func isKey(_ content: Substring, _ key: String) -> Bool {
        for written in [key, "\"\(key)\"", "'\(key)'"] where content.hasPrefix(written) {
            return content.dropFirst(written.count).drop { $0 == " " }.first == ":"
        }
        return false
    }
}
