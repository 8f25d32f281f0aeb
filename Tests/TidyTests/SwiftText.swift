/// A Swift source with its comments and the contents of its strings blanked out, so that a rule that looks for words
/// does not trip over prose. Lines keep their numbers.
struct SwiftText {
    let code: String

    init(_ source: String) {
        var blanker = Blanker(source: Array(source.utf8))
        blanker.run()
        code = String(decoding: blanker.output, as: UTF8.self)
    }

    var lines: [Substring] { code.split(separator: "\n", omittingEmptySubsequences: false) }

    /// A function with a body.
    struct Function {
        let name: String
        /// Line of the keyword, from 1.
        let line: Int
        /// Lines from the keyword to the closing brace, both counted.
        let length: Int
    }

    /// Every `func`, `init` and `deinit` that has a body.
    var functions: [Function] {
        code.matches(of: /\b(?:func\s+([^\s(<]+)|(init)\b[?]?\s*[(<]|(deinit)\b)/).compactMap {
            match in
            guard let body = bodyRange(after: match.range.lowerBound) else { return nil }
            let name = match.output.1 ?? match.output.2 ?? "deinit"
            let text = code[match.range.lowerBound..<body.upperBound]
            return Function(
                name: String(name), line: 1 + newlines(in: code[..<match.range.lowerBound]),
                length: 1 + newlines(in: text))
        }
    }

    private func newlines(in text: Substring) -> Int {
        text.reduce(0) { $0 + ($1 == "\n" ? 1 : 0) }
    }

    /// The braces of the declaration that starts at `start`, or nil where another declaration begins before any brace:
    /// then it is a requirement of a protocol or a call.
    private func bodyRange(after start: String.Index) -> Range<String.Index>? {
        var depth = 0
        var braces = 0
        var opening: String.Index?
        var index = start
        while index < code.endIndex {
            switch code[index] {
            case "(", "[": depth += 1
            case ")", "]":
                depth -= 1
                if depth < 0 { return nil }
            case "{" where depth == 0 || opening != nil:
                opening = opening ?? index
                braces += 1
            case "}" where depth == 0 || opening != nil:
                braces -= 1
                guard let opening, braces >= 0 else { return nil }
                if braces == 0 { return opening..<code.index(after: index) }
            case "\n" where opening == nil && depth == 0:
                guard continuesSignature(code[index...]) else { return nil }
            default: break
            }
            index = code.index(after: index)
        }
        return nil
    }

    private func continuesSignature(_ rest: Substring) -> Bool {
        let next = rest.drop { $0.isWhitespace }
        return ["{", "->", "where", "async", "throws", "rethrows"].contains { next.hasPrefix($0) }
    }
}

/// Walks through the bytes of a source once. What is not ASCII only occurs inside words, comments and strings.
private struct Blanker {
    private static let newline = UInt8(ascii: "\n")
    private static let quote = UInt8(ascii: "\"")
    private static let hash = UInt8(ascii: "#")

    let source: [UInt8]
    var output: [UInt8] = []
    var index = 0

    init(source: [UInt8]) {
        self.source = source
        output.reserveCapacity(source.count)
    }

    mutating func run() {
        while index < source.count { step() }
    }

    private mutating func step() {
        if starts(with: "//") {
            while index < source.count, source[index] != Self.newline { blank() }
        } else if starts(with: "/*") {
            blankComment()
        } else if let hashes = stringStart() {
            blankString(hashes: hashes)
        } else {
            copy()
        }
    }

    private func starts(with text: StaticString, hashes: Int = 0) -> Bool {
        let count = text.utf8CodeUnitCount
        guard index + count + hashes <= source.count else { return false }
        for offset in 0..<count where source[index + offset] != text.utf8Start[offset] {
            return false
        }
        for offset in 0..<hashes where source[index + count + offset] != Self.hash { return false }
        return true
    }

    private mutating func copy() {
        output.append(source[index])
        index += 1
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where index < source.count {
            output.append(source[index] == Self.newline ? Self.newline : UInt8(ascii: " "))
            index += 1
        }
    }

    private mutating func blankComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                blank(2)
            } else if starts(with: "*/") {
                depth -= 1
                blank(2)
            } else {
                blank()
            }
        } while depth > 0 && index < source.count
    }

    /// Number of `#` before the quote where a string begins here.
    private func stringStart() -> Int? {
        guard source[index] == Self.quote || source[index] == Self.hash else { return nil }
        var end = index
        while end < source.count, source[end] == Self.hash { end += 1 }
        return end < source.count && source[end] == Self.quote ? end - index : nil
    }

    private mutating func blankString(hashes: Int) {
        blank(hashes)
        let isLong = starts(with: "\"\"\"")
        copy()
        blank(isLong ? 2 : 0)
        while index < source.count {
            if startsEscape(hashes) {
                blank(1 + hashes)
                if index < source.count, source[index] == UInt8(ascii: "(") {
                    copyInterpolation()
                } else {
                    blank()
                }
            } else if isLong
                ? starts(with: "\"\"\"", hashes: hashes) : starts(with: "\"", hashes: hashes)
            {
                blank(isLong ? 2 : 0)
                copy()
                blank(hashes)
                return
            } else {
                blank()
            }
        }
    }

    private func startsEscape(_ hashes: Int) -> Bool { starts(with: "\\", hashes: hashes) }

    /// An interpolation stays code: a force unwrap inside one is still a force unwrap.
    private mutating func copyInterpolation() {
        var depth = 0
        repeat {
            if source[index] == UInt8(ascii: "(") { depth += 1 }
            if source[index] == UInt8(ascii: ")") { depth -= 1 }
            step()
        } while depth > 0 && index < source.count
    }
}
