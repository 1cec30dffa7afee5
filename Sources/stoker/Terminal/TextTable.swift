/// A table of text: columns as wide as their longest cell; where the terminal is narrow some are cut, then some left out.
struct TextTable {
    /// A cell: its text, and an escape sequence that colours it, or none.
    struct Cell: Equatable {
        var text: String
        var colour: String = ""

        init(_ text: String, colour: String = "") {
            // A line is a line: whatever a reason holds, it neither breaks the table nor drives the terminal.
            self.text = String(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
            self.colour = colour
        }
    }

    /// Heads of the columns.
    var heads: [String]
    /// Columns that are cut, the first one first, where the width does not suffice.
    var flexible: [Int]
    /// Columns that are left out, the first one first, where cutting does not suffice.
    var optional: [Int] = []
    /// The cells.
    var rows: [[Cell]] = []

    /// The lines. `width` in columns; nil for no limit.
    func lines(width: Int?) -> [String] {
        var widths = heads.indices.map { column in
            ([heads[column].count] + rows.map { $0[column].text.count }).max() ?? 0
        }
        var shown = Array(heads.indices)
        if let width {
            func excess() -> Int { shown.map { widths[$0] }.reduce(0, +) + 2 * (shown.count - 1) - width }
            func cut(to least: Int) {
                for column in flexible where shown.contains(column) && excess() > 0 {
                    widths[column] = max(min(widths[column], least), widths[column] - excess())
                }
            }
            cut(to: 16)
            for column in optional where excess() > 0 { shown.removeAll { $0 == column } }
            cut(to: 1)
        }
        return [line(heads.map { Cell($0) }, widths, shown)] + rows.map { line($0, widths, shown) }
    }

    /// A line that is broken between words where it does not fit, what follows indented by two more than the line itself.
    static func wrapped(_ text: String, width: Int?) -> [String] {
        guard let width, text.count > width, width > 0 else { return [text] }
        let own = text.prefix { $0 == " " }.count
        let indent = String(repeating: " ", count: min(own + 2, width / 2))
        var lines: [String] = []
        var rest = text[...]
        while rest.count > width {
            let room = rest.prefix(width + 1)
            let start = room.firstIndex { $0 != " " } ?? room.startIndex
            let space = room[start...].lastIndex(of: " ")
            let end = space ?? rest.index(rest.startIndex, offsetBy: width)
            lines.append(String(rest[..<end]))
            rest = (indent + rest[end...].drop { $0 == " " })[...]
        }
        return lines + [String(rest)]
    }

    private func line(_ cells: [Cell], _ widths: [Int], _ shown: [Int]) -> String {
        var line = ""
        for column in shown {
            let cell = cells[column]
            let text =
                cell.text.count <= widths[column] ? cell.text : cell.text.prefix(max(0, widths[column] - 1)) + "…"
            line += cell.colour.isEmpty ? text : "\(cell.colour)\(text)\u{1b}[0m"
            guard column != shown.last else { break }
            line += String(repeating: " ", count: widths[column] - text.count + 2)
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
