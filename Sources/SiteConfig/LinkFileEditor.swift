import Glibc
package import JSONLines

/// Changes single keys of a link file and leaves everything else as somebody wrote it, comments included.
package struct LinkFileEditor {
    /// Why a key could not be changed, or the file not be read or written.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
    }

    package let path: String
    /// The text as it was read.
    package let original: String
    /// The text as it is to be.
    package private(set) var text: String
    /// The text as it was last read or written here.
    private var onDisk: String

    package init(path: String) throws(Refusal) {
        // Where it is a link, what it leads to is changed, and it stays a link.
        self.path =
            realpath(path, nil).map { found in
                defer { free(found) }
                return String(cString: found)
            } ?? path
        original = try Self.read(self.path)
        (text, onDisk) = (original, original)
        _ = try document()
    }

    private static func read(_ path: String) throws(Refusal) -> String {
        do {
            guard let text = String(validating: try readFile(path), as: UTF8.self) else {
                throw Refusal(description: "\(path) is not UTF-8")
            }
            return text
        } catch let failure as ReadFailure {
            throw Refusal(description: "\(path) cannot be read: \(failure.reason)")
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal(description: "\(path) cannot be read: \(error)")
        }
    }

    /// Sets a key of a controller, or of one of its lockers, whose table is added where there is none.
    package mutating func set(
        _ key: String, _ value: JSON, of controller: String, locker number: Int? = nil
    ) throws(Refusal) {
        let text = text
        do throws(Refusal) {
            try change(key, value, of: controller, locker: number)
        } catch {
            self.text = text
            throw error
        }
    }

    /// Takes a key out of a locker's table where it has it; a comment behind it stays.
    package mutating func remove(
        _ key: String, of controller: String, locker number: Int
    ) throws(Refusal) {
        let before = try document()
        guard let (place, table) = Self.controller(controller, in: before.root),
            let index = table["locker"]?.arrayValue?.firstIndex(where: {
                $0["number"]?.intValue == number
            }),
            let line = before.lines.exactLine(
                of: [
                    .key("controller"), .index(place), .key("locker"), .index(index), .key(key),
                ])
        else { return }
        var lines = split()
        guard let comment = Self.comment(after: key, in: lines[line - 1]) else {
            throw Refusal(
                description:
                    "\(path):\(line): \(key) is written in a way that is not changed here; it has to go"
            )
        }
        let rest = String(comment.drop { $0 == " " || $0 == "\t" })
        if rest.allSatisfy(\.isWhitespace) {
            lines.remove(at: line - 1)
        } else {
            lines[line - 1] = rest
        }
        let kept = text
        text = lines.joined(separator: "\n")
        let after = Self.controller(controller, in: try document().root)?.table["locker"]
        guard after?.arrayValue?[index][key] == nil else {
            text = kept
            throw Refusal(description: "\(path): \(key) cannot be taken out")
        }
    }

    private mutating func change(
        _ key: String, _ value: JSON, of controller: String, locker number: Int?
    ) throws(Refusal) {
        let before = try document()
        guard let (place, table) = Self.controller(controller, in: before.root) else {
            throw Refusal(description: "\(path) has no [[controller]] with id = \"\(controller)\"")
        }
        var base: Path = [.key("controller"), .index(place)]
        if let number {
            let tables = table["locker"]?.arrayValue ?? []
            if let index = tables.firstIndex(where: { $0["number"]?.intValue == number }) {
                base += [.key("locker"), .index(index)]
            } else {
                try add(locker: number, key, value, below: base, before)
                return try check(key, value, controller, number)
            }
        }
        try put(key, value, below: base, before)
        try check(key, value, controller, number)
    }

    /// Puts ``text`` into the file in one step, with its owner and mode as they are.
    ///
    /// Refused where somebody else has changed the file since it was last read or written here.
    package mutating func write() throws(Refusal) { try replace(with: text) }

    /// This one as it is once ``write()`` has worked.
    package var written: Self {
        var copy = self
        copy.onDisk = text
        return copy
    }

    /// Puts back what the file said at the beginning.
    package mutating func restore() throws(Refusal) {
        text = original
        try replace(with: original)
    }

    private mutating func replace(with text: String) throws(Refusal) {
        let current = try Self.read(path)
        if current == text {
            onDisk = text
            return
        }
        guard current == onDisk else {
            throw Refusal(
                description:
                    "\(path) was changed by somebody else in the meantime, and is left alone")
        }
        try put(text, inPlaceOf: path)
        onDisk = text
    }

    private func put(_ text: String, inPlaceOf path: String) throws(Refusal) {
        var facts = stat()
        let draft = "\(path).new"
        guard stat(path, &facts) == 0 else { throw failure("cannot be looked at") }
        let handle = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, facts.st_mode & 0o777)
        guard handle >= 0 else { throw failure("cannot be written beside it") }
        var isDone = false
        defer {
            close(handle)
            if !isDone { unlink(draft) }
        }
        // Where only its owner may give a file away it stays the writer's, who has just been asked.
        _ = fchown(handle, facts.st_uid, facts.st_gid)
        fchmod(handle, facts.st_mode & 0o777)
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(handle, $0.baseAddress, $0.count) }
            guard count > 0 else { throw failure("cannot be written") }
            bytes = bytes.dropFirst(count)
        }
        guard fsync(handle) == 0, rename(draft, path) == 0 else {
            throw failure("cannot be put in its place")
        }
        isDone = true
    }

    private func failure(_ what: String) -> Refusal {
        Refusal(description: "\(path) \(what): \(String(cString: strerror(errno)))")
    }

    // MARK: Lines

    private func document() throws(Refusal) -> Document {
        switch Document.parse(Array(text.utf8), as: path) {
        case .success(let document): return document
        case .failure(let failure): throw Refusal(description: failure.problem.description)
        }
    }

    private static func controller(
        _ id: String, in root: JSONObject
    ) -> (place: Int, table: JSONObject)? {
        for (place, table) in (root["controller"]?.arrayValue ?? []).enumerated()
        where table["id"]?.stringValue == id {
            return table.objectValue.map { (place, $0) }
        }
        return nil
    }

    private mutating func put(
        _ key: String, _ value: JSON, below base: Path, _ document: Document
    ) throws(Refusal) {
        var lines = split()
        let new = "\(key) = \(Self.toml(value))"
        if let line = document.lines.exactLine(of: base + [.key(key)]) {
            let old = lines[line - 1]
            guard let comment = Self.comment(after: key, in: old) else {
                throw Refusal(
                    description:
                        "\(path):\(line): \(key) is written in a way that is not changed here; want \(new)"
                )
            }
            lines[line - 1] = old.prefix { $0 == " " || $0 == "\t" } + new + comment
        } else if let header = document.lines.exactLine(of: base) {
            lines.insert(new + Self.ending(of: lines[header - 1]), at: header)
        } else {
            throw Refusal(
                description:
                    "\(path): the table of \(base.text) is not one of its own; want \(new) in it")
        }
        text = lines.joined(separator: "\n")
    }

    /// A table at the end of the controller's.
    private mutating func add(
        locker number: Int, _ key: String, _ value: JSON, below base: Path, _ document: Document
    ) throws(Refusal) {
        guard let header = document.lines.exactLine(of: base) else {
            throw Refusal(description: "\(path): the controller's table is not one of its own")
        }
        var lines = split()
        let next = lines.indices.dropFirst(header).first { index in
            let line = lines[index].drop { $0 == " " || $0 == "\t" }
            return line.hasPrefix("[") && !line.hasPrefix("[[controller.")
                && !line.hasPrefix("[controller.")
        }
        var end = next ?? lines.endIndex
        // What stands right before the next table is about that one.
        while end > header, let last = lines[..<end].last,
            last.allSatisfy(\.isWhitespace) || (next != nil && last.hasPrefix("#"))
        {
            end -= 1
        }
        let ending = Self.ending(of: lines[header - 1])
        // The last line of a file may have no end yet.
        if !ending.isEmpty, end > 0, !lines[end - 1].hasSuffix(ending) { lines[end - 1] += ending }
        let table = [
            "", "[[controller.locker]]", "number = \(number)", "\(key) = \(Self.toml(value))",
        ]
        lines.insert(contentsOf: table.map { $0 + ending }, at: end)
        text = lines.joined(separator: "\n")
        if next == nil, !text.hasSuffix("\n") { text += "\n" }
    }

    private func split() -> [String] {
        // By bytes: for Swift a carriage return and a line feed are one character, and not a line feed.
        text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
    }

    /// The carriage return at the end of a line, where lines of the file have one.
    private static func ending(of line: String) -> String { line.hasSuffix("\r") ? "\r" : "" }

    /// What stands behind a simple value on the line of `key`; nil where the line is anything else than that.
    private static func comment(after key: String, in line: String) -> String? {
        let rest = line.drop { $0 == " " || $0 == "\t" }
        guard rest.hasPrefix(key) else { return nil }
        let value = rest.dropFirst(key.count).drop { $0 == " " || $0 == "\t" }
        guard value.hasPrefix("=") else { return nil }
        let word = value.dropFirst().drop { $0 == " " || $0 == "\t" }
        let end: Substring.Index
        if word.hasPrefix("\"") {
            guard !word.hasPrefix("\"\"\""), !word.contains("\\"),
                let quote = word.dropFirst().firstIndex(of: "\"")
            else { return nil }
            end = word.index(after: quote)
        } else {
            end = word.firstIndex { $0 == " " || $0 == "\t" || $0 == "#" } ?? word.endIndex
            guard word[..<end].allSatisfy({ $0.isLetter || $0.isNumber || "+-._".contains($0) })
            else { return nil }
        }
        let behind = word[end...]
        let isComment = behind.drop { $0 == " " || $0 == "\t" }.hasPrefix("#")
        guard isComment || behind.allSatisfy(\.isWhitespace) else { return nil }
        return String(behind)
    }

    /// Nothing is written that does not say what was meant.
    private func check(
        _ key: String, _ value: JSON, _ controller: String, _ number: Int?
    ) throws(Refusal) {
        let root = try document().root
        var table = Self.controller(controller, in: root)?.table
        if let number {
            table =
                table?["locker"]?.arrayValue?.first { $0["number"]?.intValue == number }?
                .objectValue
        }
        guard table?[key] == value else {
            throw Refusal(description: "\(path): \(key) = \(Self.toml(value)) cannot be put in")
        }
    }

    /// A value as TOML writes it; strings, integers and truth values.
    private static func toml(_ value: JSON) -> String {
        // A string of JSON is one of TOML as well.
        value.text
    }
}
