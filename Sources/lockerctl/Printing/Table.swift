/// A colour with a meaning; invisible unless the terminal shows colour.
enum Tone: String {
    case plain = ""
    case strong = "1"
    case good = "32"
    case warning = "33"
    case bad = "31"

    func paint(_ text: String, _ isColoured: Bool) -> String {
        guard isColoured, self != .plain, !text.isEmpty else { return text }
        return "\u{1B}[\(rawValue)m\(text)\u{1B}[0m"
    }
}

/// One cell; its text is cleaned of control characters.
struct Cell: ExpressibleByStringLiteral {
    let text: String
    let tone: Tone

    init(_ text: String, _ tone: Tone = .plain) {
        self.text = Output.clean(text)
        self.tone = tone
    }

    init(stringLiteral value: String) { self.init(value) }
}

/// Aligned columns with a head.
struct Table {
    struct Column {
        let title: String
        var isNumber = false
        /// Left out when every cell of it is empty.
        var isOptional = false
    }

    let columns: [Column]
    private(set) var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ cells: [Cell]) { rows.append(cells) }

    /// The lines, without trailing space; none at all when there is no row.
    func lines(coloured: Bool, width: Int? = nil) -> [String] {
        guard !rows.isEmpty else { return [] }
        let shown = columns.indices.filter { index in
            !columns[index].isOptional || rows.contains { !$0[index].text.isEmpty }
        }
        let widths = shown.map { index in
            rows.reduce(columns[index].title.count) { max($0, $1[index].text.count) }
        }
        let head = columns.map { Cell($0.title, .strong) }
        return ([head] + rows).map { row in
            line(shown.map { (row[$0], columns[$0].isNumber) }, widths, coloured, width ?? Int.max)
        }
    }

    private func line(
        _ cells: [(Cell, isNumber: Bool)], _ widths: [Int], _ coloured: Bool, _ limit: Int
    ) -> String {
        var out = ""
        var column = 0
        var pending = 0
        for (index, (cell, isNumber)) in cells.enumerated() {
            let gap = index == 0 ? 0 : 2
            let padding = String(repeating: " ", count: widths[index] - cell.text.count)
            let before = pending + gap + (isNumber ? padding.count : 0)
            pending = isNumber ? 0 : padding.count
            guard !cell.text.isEmpty else {
                pending += before
                continue
            }
            let room = limit - column - before
            guard room > 0 else { break }
            let text = String(cell.text.prefix(room))
            out += String(repeating: " ", count: before) + cell.tone.paint(text, coloured)
            column += before + text.count
        }
        return out
    }
}
