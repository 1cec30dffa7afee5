import Yams

/// Makes nodes of a YAML text, with the place of every key, duplicates included.
///
/// Yams refuses a mapping with a duplicate key, and names the place of the first one, of one mapping only. To report
/// every duplicate, and the second one's place, the key at that place is given a unique letter and the text composed
/// again; whoever reads the nodes asks ``name(of:)`` for the key as it was written. The letters come from Unicode's
/// private planes and replace one scalar each, so that no place moves.
struct YAMLComposer {
    /// Why there are no nodes: always one problem, since nothing after a syntax error can be trusted.
    struct Failure: Error {
        var line: Int
        var column: Int
        var message: String
    }

    /// The document; nil for an empty one.
    private(set) var root: Node?
    private var originals: [String: String] = [:]

    /// The largest text that is read, in bytes.
    static let largestText = 4 << 20
    /// The most duplicate keys that are named one by one.
    static let mostDuplicates: UInt32 = 50
    /// The deepest nesting that is read.
    static let deepestNesting = 100

    init(text: String) throws(Failure) {
        guard text.utf8.count <= Self.largestText else {
            throw Failure(line: 1, column: 1, message: "the file is larger than \(ByteSize.text(Self.largestText))")
        }
        try Self.checkNesting(text)
        try Self.checkAliases(text)
        var lines = text.unicodeScalars
        var letter: UInt32 = 0xF0000
        while true {
            var attempt = String(lines)
            attempt.makeContiguousUTF8()
            do {
                root = try Yams.compose(yaml: attempt)
                return
            } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
                guard letter < 0xF0000 + Self.mostDuplicates, let index = Self.index(of: context.mark, in: lines),
                    let key = duplicates.first, rename(key: key, at: index, in: &lines, to: letter)
                else {
                    throw Failure(
                        line: max(1, context.mark.line), column: max(1, context.mark.column),
                        message: letter > 0xF0000 ? "duplicate key, one of very many" : "duplicate key")
                }
                letter += 1
            } catch {
                throw Self.failure(of: error, in: attempt)
            }
        }
    }

    /// A key as it was written in the text.
    func name(of key: String) -> String { originals[key] ?? key }

    /// Replaces the first letter of the key that begins at `index`; false if that place holds something else.
    private mutating func rename(
        key: String, at index: String.UnicodeScalarIndex, in text: inout String.UnicodeScalarView, to letter: UInt32
    ) -> Bool {
        guard let first = key.unicodeScalars.first, let unique = Unicode.Scalar(letter) else { return false }
        var index = index
        if text[index] == "\"" || text[index] == "'" { index = text.index(after: index) }
        guard index < text.endIndex, text[index] == first else { return false }
        var renamed = String.UnicodeScalarView()
        renamed.append(unique)
        renamed.append(contentsOf: key.unicodeScalars.dropFirst())
        originals[String(renamed)] = name(of: key)
        text.replaceSubrange(index...index, with: CollectionOfOne(unique))
        return true
    }

    private static func index(of mark: Mark, in text: String.UnicodeScalarView) -> String.UnicodeScalarIndex? {
        var line = 1
        var index = text.startIndex
        while line < mark.line {
            guard index < text.endIndex else { return nil }
            let scalar = text[index]
            index = text.index(after: index)
            switch scalar {
            case "\n", "\u{85}", "\u{2028}", "\u{2029}": line += 1
            case "\r":
                if index < text.endIndex, text[index] == "\n" { index = text.index(after: index) }
                line += 1
            default: break
            }
        }
        // A byte order mark is no column.
        if line == 1, index < text.endIndex, text[index] == "\u{FEFF}" { index = text.index(after: index) }
        guard let found = text.index(index, offsetBy: mark.column - 1, limitedBy: text.endIndex),
            found < text.endIndex
        else { return nil }
        return found
    }

    private static func failure(of error: any Error, in text: String) -> Failure {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _):
            let sentence = [problem, context?.text].compactMap { $0 }.joined(separator: " ")
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            let around = lines.dropFirst(max(0, mark.line - 2)).prefix(2)
            var hint = ""
            if around.contains(where: { $0.contains("${") }) {
                hint = "; between brackets a variable is written in quotes: \"${VAR}\""
            } else if around.contains(where: { $0.contains("[::") }) {
                hint = "; an IPv6 address is written in quotes: \"[::1]:8080\""
            }
            return Failure(line: mark.line, column: mark.column, message: "not YAML: \(sentence)\(hint)")
        case .composer(_, let problem, let mark, _):
            if problem.contains("another document") {
                return Failure(
                    line: mark.line, column: mark.column, message: "a second document: a configuration is one document")
            }
            return Failure(line: mark.line, column: mark.column, message: "not YAML: \(problem)")
        case .reader(let problem, let offset, _, let yaml):
            var line = 1
            var column = 1
            for character in yaml.prefix(offset ?? 0) {
                if character.isNewline {
                    line += 1
                    column = 1
                } else {
                    column += character.unicodeScalars.count
                }
            }
            return Failure(line: line, column: column, message: "not YAML: \(problem)")
        default:
            return Failure(line: 1, column: 1, message: "not YAML")
        }
    }
}
