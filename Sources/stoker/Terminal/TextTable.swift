/// A table of text: columns as wide as their longest cell, one of them giving way where the terminal is narrow.
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
    /// The cells.
    var rows: [[Cell]] = []

    /// The lines. `width` in columns; nil for no limit.
    func lines(width: Int?) -> [String] {
        var widths = heads.indices.map { column in
            ([heads[column].count] + rows.map { $0[column].text.count }).max() ?? 0
        }
        if let width {
            for column in flexible {
                let total = widths.reduce(0, +) + 2 * (widths.count - 1)
                if total > width { widths[column] = max(min(widths[column], 8), widths[column] - (total - width)) }
            }
        }
        let head = line(heads.map { Cell($0) }, widths)
        return [head] + rows.map { line($0, widths) }
    }

    private func line(_ cells: [Cell], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let text =
                cell.text.count <= widths[column] ? cell.text : cell.text.prefix(max(0, widths[column] - 1)) + "…"
            line += cell.colour.isEmpty ? text : "\(cell.colour)\(text)\u{1b}[0m"
            guard column < cells.count - 1 else { break }
            line += String(repeating: " ", count: widths[column] - text.count + 2)
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
