import JSONLines
import TOMLKit

/// One file of the config, read and parsed: its values as a tree and the line of each key.
struct Document {
    let root: JSONObject
    let lines: SourceLines

    /// Reads `path`; what is wrong is told under the name `file`.
    ///
    /// A date or time becomes `null`, which TOML itself does not have: no key of ours wants one.
    static func read(_ path: String, as file: String) -> Result<Document, DocumentFailure> {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path)
        } catch {
            return .failure(
                DocumentFailure(
                    problem: Problem(
                        file: file, line: 1, message: "cannot be read: \(error.reason)"),
                    isMissing: error.isMissing))
        }
        return parse(bytes, as: file)
    }

    static func parse(_ bytes: [UInt8], as file: String) -> Result<Document, DocumentFailure> {
        func fail(_ line: Int, _ message: String) -> Result<Document, DocumentFailure> {
            .failure(
                DocumentFailure(problem: Problem(file: file, line: line, message: message)))
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            return fail(1, "UTF-16 text, as its byte order mark says; want UTF-8")
        }
        if let nul = bytes.firstIndex(of: 0) {
            return fail(lineNumber(of: nul, in: bytes), "a NUL byte; want text")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return fail(firstBadLine(bytes), "not UTF-8 text")
        }
        let scanner = TOMLScanner(bytes)
        if let obstacle = scanner.obstacle { return fail(obstacle.line, obstacle.message) }
        do {
            // TOMLKit never frees a parsed table. A site's files are a few kilobytes and are read once a reload.
            let table = try TOMLTable(string: text)
            return .success(Document(root: convert(table), lines: scanner.lines))
        } catch let error as TOMLParseError {
            return fail(error.source.begin.line, "not TOML: \(plain(error.description))")
        } catch {
            return fail(1, "not TOML: \(error)")
        }
    }

    /// The parser's sentence in our style: no capital, no final stop.
    private static func plain(_ sentence: String) -> String {
        var text = sentence.prefix(300)
        for opening in ["Error while parsing "] where text.hasPrefix(opening) {
            text = text.dropFirst(opening.count)
        }
        while text.hasSuffix(".") { text = text.dropLast() }
        return text.prefix(1).lowercased() + text.dropFirst()
    }

    private static func lineNumber(of index: Int, in bytes: [UInt8]) -> Int {
        1 + bytes[..<index].count { $0 == UInt8(ascii: "\n") }
    }

    private static func firstBadLine(_ bytes: [UInt8]) -> Int {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let bad = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
        return (bad ?? 0) + 1
    }

    // MARK: Values

    /// Recursion is bounded: the scanner let through at most three times ``ConfigLimits/depth`` squared levels.
    private static func convert(_ table: TOMLTable) -> JSONObject {
        // The table's own iterator traps on a key it cannot find again.
        JSONObject(
            table.keys.compactMap { key in
                table[key].map { JSONObject.Member(key: key, value: convert($0)) }
            })
    }

    private static func convert(_ value: any TOMLValueConvertible) -> JSON {
        switch value.type {
        case .table: .object(value.table.map(convert) ?? JSONObject())
        case .array: .array(value.array.map { array in array.map { convert($0) } } ?? [])
        case .string: .string(value.string ?? "")
        case .int: .int(Int64(value.int ?? 0))
        case .double: .double(value.double ?? 0)
        case .bool: .bool(value.bool ?? false)
        case .date, .time, .dateTime: .null
        }
    }
}

/// A file that gave no tree at all.
struct DocumentFailure: Error {
    let problem: Problem
    var isMissing = false
}
