/// The candidate that somebody who typed `word` most likely meant; nil when none is close.
///
/// Close means: one slip for up to five letters, two for up to eight, three beyond. A slip is a letter too many, too
/// few, wrong, or two neighbours swapped. Capitals do not count.
func nearest(_ word: String, in candidates: some Sequence<String>) -> String? {
    guard word.utf8.count <= 64 else { return nil }
    let typed = Array(word.lowercased().utf8)
    let allowed = typed.count <= 5 ? 1 : typed.count <= 8 ? 2 : 3
    var best: (distance: Int, word: String)?
    for candidate in candidates.sorted() {
        let other = Array(candidate.lowercased().utf8)
        guard abs(other.count - typed.count) <= allowed else { continue }
        let distance = editDistance(typed, other)
        if distance <= allowed && distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    return best?.word
}

/// Optimal string alignment distance.
func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for i in 1...left.count {
        var row = [i]
        for j in 1...right.count {
            let changed = left[i - 1] == right[j - 1] ? 0 : 1
            var least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + changed)
            if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                least = min(least, beforeLast[j - 2] + 1)
            }
            row.append(least)
        }
        beforeLast = last
        last = row
    }
    return last[right.count]
}
