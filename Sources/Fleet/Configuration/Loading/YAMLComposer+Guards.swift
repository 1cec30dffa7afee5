extension YAMLComposer {
    /// Refuses texts nested deeper than any configuration: nodes are made, compared and freed by recursion.
    ///
    /// An upper bound is counted, from brackets and from leading `-`, `?`, `:` and indentation, without parsing. It may
    /// count brackets within a text, which is why the limit is far above what a configuration has.
    static func checkNesting(_ text: String) throws(Failure) {
        var line = 1
        var column = 0
        var brackets = 0
        var indents: [Int] = []
        var isLeading = true
        for byte in text.utf8 {
            column += 1
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                line += byte == UInt8(ascii: "\n") ? 1 : 0
                column = 0
                isLeading = true
                continue
            case UInt8(ascii: " "): continue
            case UInt8(ascii: "["), UInt8(ascii: "{"): brackets += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): brackets = max(0, brackets - 1)
            default: break
            }
            if isLeading {
                while let last = indents.last, last >= column { indents.removeLast() }
                indents.append(column)
                // `- - - x` opens a level with each mark.
                isLeading =
                    byte == UInt8(ascii: "-") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: ":")
                    || byte == UInt8(ascii: "\t")
            }
            if brackets + indents.count > deepestNesting {
                throw Failure(line: line, column: column, message: "nested deeper than \(deepestNesting) levels")
            }
        }
    }

    /// Refuses aliases within anchors within anchors that would unfold to more nodes than any configuration has.
    ///
    /// `a` aliases spread over `l` anchors make at most `(a / l)` to the power of `l` copies.
    static func checkAliases(_ text: String) throws(Failure) {
        var anchors = 0
        var aliases = 0
        var previous = UInt8(ascii: "\n")
        for byte in text.utf8 {
            if [UInt8](" \t\n\r[{,-?:".utf8).contains(previous) {
                if byte == UInt8(ascii: "&") { anchors += 1 }
                if byte == UInt8(ascii: "*") { aliases += 1 }
            }
            previous = byte
        }
        guard anchors > 0, aliases > 0 else { return }
        var copies = 1.0
        for level in 1...min(anchors, 40) {
            let each = max(1, Double(aliases) / Double(level))
            var product = 1.0
            for _ in 0..<level { product *= each }
            copies = max(copies, product)
        }
        guard copies <= 1e6 else {
            throw Failure(line: 1, column: 1, message: "too many aliases (*…) for so many anchors (&…)")
        }
    }
}
