/// Two texts as people compare them: what goes with `-`, what comes with `+`, and a line around both.
struct LineDiff {
    let lines: [String]

    init(from old: String, to new: String) {
        // By bytes: a carriage return and a line feed are one character.
        func lines(_ text: String) -> [Substring] {
            text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                .map { Substring($0) }
        }
        let (before, after) = (lines(old), lines(new))
        let difference = after.difference(from: before)
        var removed: Set<Int> = []
        var inserted: Set<Int> = []
        for change in difference {
            switch change {
            case .remove(let offset, _, _): removed.insert(offset)
            case .insert(let offset, _, _): inserted.insert(offset)
            }
        }
        var all: [(mark: Character, text: Substring)] = []
        var (left, right) = (0, 0)
        while left < before.count || right < after.count {
            if removed.contains(left) {
                all.append(("-", before[left]))
                left += 1
            } else if inserted.contains(right) {
                all.append(("+", after[right]))
                right += 1
            } else {
                all.append((" ", after[right]))
                left += 1
                right += 1
            }
        }
        let near = all.indices.filter { index in
            all[max(0, index - 2)...min(all.count - 1, index + 1)].contains { $0.mark != " " }
        }
        var lines: [String] = []
        var last: Int?
        for index in near {
            if let last, index > last + 1 { lines.append("…") }
            lines.append("\(all[index].mark) \(all[index].text)")
            last = index
        }
        self.lines = lines
    }

    var isEmpty: Bool { lines.isEmpty }
}
