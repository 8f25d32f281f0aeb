/// One step from a table or array to what is in it.
enum PathStep: Hashable {
    case key(String)
    case index(Int)
}

typealias Path = [PathStep]

extension Path {
    /// `controller.locker.number`: the keys without the places in arrays of tables, which the line already tells;
    /// only an element of a plain array keeps its place, as in `module_dirs[0]`.
    var text: String {
        var out = ""
        for (offset, step) in enumerated() {
            switch step {
            case .key(let key): out += out.isEmpty ? key : ".\(key)"
            case .index(let index): if offset == count - 1 { out += "[\(index)]" }
            }
        }
        return out.utf8.count <= 200 ? out : "\(out.prefix(190))…"
    }
}

/// Where each key of a TOML text stands. TOMLKit tells positions of syntax errors only, so the text is scanned once more for them.
struct SourceLines {
    private var lines: [Path: Int] = [:]

    /// The line of what `path` names, or of the nearest thing around it that has a line of its own.
    func line(of path: Path) -> Int {
        var path = path
        while !path.isEmpty {
            if let line = lines[path] { return line }
            path.removeLast()
        }
        return 1
    }

    /// The line where exactly this path is written; nil for what stands inside an inline table or array.
    func exactLine(of path: Path) -> Int? { lines[path] }

    mutating func note(_ path: Path, below base: Int, line: Int) {
        var prefix = Path(path.prefix(base))
        for step in path.dropFirst(base) {
            prefix.append(step)
            if lines[prefix] == nil { lines[prefix] = line }
        }
    }
}
