import JSONLines

/// A board that a scan has found.
struct FoundBoard {
    struct Match {
        let board: String
        let score: Int
        let maturity: String
        let lockers: Int
        let reasons: [String]
        let doubts: [String]
    }

    let unit: Int
    let baud: Int
    let parity: String
    /// Several boards answer with this unit.
    let isShared: Bool
    /// The best first.
    let matches: [Match]

    init?(_ event: JSON) {
        guard let unit = event["unit"]?.intValue else { return nil }
        self.unit = unit
        baud = event["baud"]?.intValue ?? 0
        parity = event["parity"]?.stringValue ?? "none"
        isShared = event["shared"]?.boolValue ?? false
        matches = (event["matches"]?.arrayValue ?? []).map { match in
            Match(
                board: match["board"]?.stringValue ?? "", score: match["score"]?.intValue ?? 0,
                maturity: match["maturity"]?.stringValue ?? "",
                lockers: match["lockers"]?.intValue ?? 0, reasons: Self.texts(match["reasons"]),
                doubts: Self.texts(match["doubts"]))
        }
    }

    private static func texts(_ json: JSON?) -> [String] {
        json?.arrayValue?.compactMap(\.stringValue) ?? []
    }
}

/// A link file to start from, made of what a scan has found.
///
/// What boards are cannot be asked of them. So the likeliest profile is filled in, the others and every doubt stand beside it.
struct LinkDraft {
    let line: LineOptions
    let boards: [FoundBoard]

    var text: String {
        guard let first = boards.first else { return "" }
        var lines = [
            "# Found by lockerctl scan. Copy to links.d/NAME.toml: NAME becomes the link's name.",
            "driver = \"modbus\"", "", "[link]",
        ]
        if let device = line.device {
            lines += ["transport = \"rtu\"", "device = \(quoted(device))", "baud = \(first.baud)"]
            if first.parity != "none" { lines.append("parity = \"\(first.parity)\"") }
        } else {
            lines += [
                "transport = \"tcp\"", "host = \(quoted(line.host ?? ""))", "port = \(line.port)",
            ]
        }
        var nextID = 1
        for board in boards {
            if (board.baud, board.parity) != (first.baud, first.parity) {
                lines += [
                    "",
                    "# unit \(board.unit) answers at \(board.baud) baud, parity \(board.parity): give all boards one rate",
                ]
                continue
            }
            lines += controller(board, nextID)
            // Each board begins with a hundred of its own.
            nextID += ((board.matches.first?.lockers ?? 0) / 100 + 1) * 100
        }
        return lines.map(Output.clean).joined(separator: "\n") + "\n"
    }

    private func controller(_ board: FoundBoard, _ firstID: Int) -> [String] {
        guard !board.isShared else {
            return [
                "",
                "# unit \(board.unit): several boards answer at once. Give each a unit of its own first.",
            ]
        }
        guard let best = board.matches.first else {
            return [
                "",
                "# unit \(board.unit) answers, and no profile fits it: write one (boards/NAME.toml, see the driver's README).",
            ]
        }
        let equal = board.matches.dropFirst().filter { $0.score == best.score }.map(\.board)
        let others = board.matches.dropFirst().filter { $0.score < best.score }.map(\.board)
        var lines = ["", "[[controller]]", "id = \"unit-\(board.unit)\""]
        lines.append("# \(best.board) fits best: \(best.reasons.joined(separator: "; ")).")
        if !equal.isEmpty {
            lines.append(
                "# These fit as well, look at the board: \(equal.joined(separator: ", ")).")
        }
        if !others.isEmpty { lines.append("# Less likely: \(others.joined(separator: ", ")).") }
        lines.append("# How sure the profile is of the board: \(best.maturity).")
        lines += best.doubts.map { "# Not sure: \($0)" }
        lines += [
            "board = \"\(best.board)\"", "unit = \(board.unit)",
            "first_id = \(firstID)    # the site-wide number of its first locker",
        ]
        return lines
    }

    /// A TOML string.
    private func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
