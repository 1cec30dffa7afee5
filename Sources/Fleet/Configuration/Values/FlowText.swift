/// Values as they would be written on one line of YAML.
enum FlowText {
    /// A text, in quotes where YAML would read it as something else.
    static func scalar(_ text: String) -> String {
        let plain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): return true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): return true
            default: return [UInt8]("_-./+=:@".utf8).contains(byte)
            }
        }
        if plain, let first = text.first, first.isLetter || first.isNumber || "/-_.".contains(first), text.last != ":",
            text != "-", !["~", "null", "Null", "NULL", "---", "..."].contains(text)
        {
            return text
        }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "$": quoted += "$$"
            default:
                if scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\x" + String(repeating: "0", count: 2 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }

    /// A list of texts.
    static func list(_ texts: [String]) -> String { "[\(texts.map(scalar).joined(separator: ", "))]" }
}
