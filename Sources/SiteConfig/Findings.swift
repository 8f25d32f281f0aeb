/// Collects what is wrong in one file, and knows the lines of its keys.
struct Findings {
    let file: String
    let lines: SourceLines
    private var problems: [Problem] = []
    private var uncounted = 0
    private var isUncountedAdvice = true

    init(file: String, lines: SourceLines = SourceLines()) {
        self.file = file
        self.lines = lines
    }

    var isEmpty: Bool { problems.isEmpty }

    /// Says `message` about the key at `path`. Past the limit it is only counted, and not even composed.
    mutating func add(_ path: Path, isAdvice: Bool = false, _ message: @autoclosure () -> String) {
        if problems.count < ConfigLimits.problemsPerFile {
            add(
                Problem(
                    file: file, line: lines.line(of: path), message: message(), isAdvice: isAdvice))
        } else {
            count(isAdvice)
        }
    }

    /// Takes over a problem of this or another file.
    mutating func add(_ problem: Problem) {
        guard !problems.contains(problem) else { return }
        guard problems.count < ConfigLimits.problemsPerFile else {
            count(problem.isAdvice)
            return
        }
        problems.append(problem)
    }

    private mutating func count(_ isAdvice: Bool) {
        uncounted += 1
        if !isAdvice { isUncountedAdvice = false }
    }

    /// In file order; problems of other files (a board profile, a manifest) after the file's own.
    var sorted: [Problem] {
        var sorted = problems.enumerated().sorted { left, right in
            let isOwn = (left.element.file == file, right.element.file == file)
            if isOwn.0 != isOwn.1 { return isOwn.0 }
            if left.element.file != right.element.file {
                return left.element.file < right.element.file
            }
            return (left.element.line, left.offset) < (right.element.line, right.offset)
        }.map(\.element)
        if uncounted > 0 {
            sorted.append(
                Problem(
                    file: file, line: sorted.last?.line ?? 1,
                    message: "\(uncounted) more problems are not listed",
                    isAdvice: isUncountedAdvice))
        }
        return sorted
    }
}
