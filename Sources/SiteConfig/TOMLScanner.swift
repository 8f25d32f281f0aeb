/// A pass over a TOML text that finds the line of every table header and key, and what must not reach the parser.
///
/// It is not a TOML parser: on a text that breaks TOML's rules its lines are meaningless, and the parser says what is
/// wrong. On every valid text (and on the valid beginning of a broken one) it sees strings, comments and brackets
/// exactly where the parser does, so what it refuses never reaches the parser: toml++ recurses once per level when it
/// frees a tree, its C interface ends every string at a NUL, and some malformed texts trip its assertions, which would
/// end the daemon instead of being reported.
struct TOMLScanner {
    /// Something refused before parsing.
    struct Obstacle: Equatable {
        let line: Int
        let message: String
    }

    private(set) var lines = SourceLines()
    private(set) var obstacle: Obstacle?

    private let bytes: [UInt8]
    private var at = 0
    private var line = 1
    private var table: Path = []
    private var arrayCounts: [Path: Int] = [:]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
        while at < bytes.count && obstacle == nil { statement() }
    }

    // MARK: Statements

    private mutating func statement() {
        skipBlanks()
        switch peek() {
        case nil: return
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "#"): skipToNextLine()
        case UInt8(ascii: "["): header()
        default: keyAndValue()
        }
    }

    private mutating func header() {
        at += 1
        let isArray = peek() == UInt8(ascii: "[")
        if isArray { at += 1 }
        let started = line
        let parts = dottedKey()
        if parts.isEmpty { refuse("not TOML: a table header without a name") }
        var path: Path = []
        for part in parts.dropLast() {
            path.append(.key(part))
            if let count = arrayCounts[path] { path.append(.index(count - 1)) }
        }
        if let last = parts.last {
            path.append(.key(last))
            if isArray {
                let index = arrayCounts[path, default: 0]
                arrayCounts[path] = index + 1
                path.append(.index(index))
            }
        }
        table = path
        lines.note(path, below: 0, line: started)
        skipToNextLine()
    }

    private mutating func keyAndValue() {
        let started = line
        let start = at
        let parts = dottedKey()
        lines.note(table + parts.map { .key($0) }, below: table.count, line: started)
        skipBlanks()
        if peek() == UInt8(ascii: "=") {
            at += 1
            value()
        } else {
            // Not TOML; the parser will say so. Go on in the next line, but always go on.
            if at == start { at += 1 }
            skipToNextLine()
        }
    }

    // MARK: Keys

    private mutating func dottedKey() -> [String] {
        var parts: [String] = []
        while obstacle == nil {
            skipBlanks()
            guard let part = keyPart() else { return parts }
            parts.append(part)
            if parts.count > ConfigLimits.depth {
                refuse("a key of more than \(ConfigLimits.depth) parts")
            }
            skipBlanks()
            guard peek() == UInt8(ascii: ".") else { return parts }
            at += 1
        }
        return parts
    }

    private mutating func keyPart() -> String? {
        switch peek() {
        case UInt8(ascii: "\"")?: return basicString()
        case UInt8(ascii: "'")?: return literalString()
        default:
            let start = at
            while let byte = peek(), Self.isBare(byte) { at += 1 }
            return start == at ? nil : String(decoding: bytes[start..<at], as: UTF8.self)
        }
    }

    private static func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    // MARK: Values

    /// Goes past a value and the rest of its last line.
    private mutating func value() {
        var brackets: [UInt8] = []
        var dots = 0
        var isKey = false
        while let byte = peek(), obstacle == nil {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                quotedValue(byte)
                continue
            case UInt8(ascii: "#"):
                while let byte = peek(), byte != UInt8(ascii: "\n") { at += 1 }
                continue
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                // In ASCII the closing bracket stands two after the opening one.
                brackets.append(byte + 2)
                dots = 0
                isKey = byte == UInt8(ascii: "{")
                if brackets.count > ConfigLimits.depth {
                    refuse("values nested deeper than \(ConfigLimits.depth)")
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if brackets.popLast() != byte {
                    refuse("not TOML: a closing bracket that nothing opened")
                }
            case UInt8(ascii: ","):
                dots = 0
                isKey = brackets.last == UInt8(ascii: "}")
            case UInt8(ascii: "="): isKey = false
            case UInt8(ascii: "\n"):
                dots = 0
                at += 1
                line += 1
                if brackets.isEmpty { return }
                continue
            case 0x00...0x08, 0x0B, 0x0C, 0x0E...0x1F, 0x7F...0xFF:
                refuse("not TOML: a character that belongs into quotes")
            case _ where Self.isWord(byte):
                dots += word(isKey: isKey)
                if dots >= ConfigLimits.depth {
                    refuse("a key of more than \(ConfigLimits.depth) parts")
                }
                continue
            default: break
            }
            at += 1
        }
    }

    /// Goes past a number, date, boolean or bare key of an inline table and returns how many dots it has.
    private mutating func word(isKey: Bool) -> Int {
        let start = at
        while let byte = peek(), Self.isWord(byte) { at += 1 }
        let word = bytes[start..<at]
        if !isKey && Self.looksLikeDate(word) { date(word) }
        return word.count { $0 == UInt8(ascii: ".") }
    }

    /// Begins with a digit and has a `-` that is not an exponent's.
    private static func looksLikeDate(_ word: ArraySlice<UInt8>) -> Bool {
        guard let first = word.first, isDigit(first) else { return false }
        return zip(word, word.dropFirst()).contains { before, byte in
            byte == UInt8(ascii: "-") && before | 0x20 != UInt8(ascii: "e")
        }
    }

    /// Refuses a date that is not whole.
    private mutating func date(_ word: ArraySlice<UInt8>) {
        var shape = Self.shape(word)
        // The time may follow after one space.
        if shape.count == 10, peek() == UInt8(ascii: " "), at + 1 < bytes.count,
            Self.isDigit(bytes[at + 1])
        {
            at += 1
            let start = at
            while let byte = peek(), Self.isWord(byte) { at += 1 }
            shape += "T" + Self.shape(bytes[start..<at])
        }
        if !Self.isDate(shape[...]) { refuse("not TOML: a malformed date") }
    }

    /// A date, with or without a time, with or without an offset from UTC.
    private static func isDate(_ shape: Substring) -> Bool {
        guard shape.hasPrefix("0000-00-00") else { return false }
        var rest = shape.dropFirst(10)
        if rest.isEmpty { return true }
        guard rest.hasPrefix("T00:00:00") || rest.hasPrefix("t00:00:00") else { return false }
        rest = rest.dropFirst(9)
        if rest.hasPrefix(".0") { rest = rest.dropFirst().drop { $0 == "0" } }
        return ["", "Z", "z", "+00:00", "-00:00"].contains(rest)
    }

    /// The word with every digit made a zero.
    private static func shape(_ word: ArraySlice<UInt8>) -> String {
        String(decoding: word.map { isDigit($0) ? UInt8(ascii: "0") : $0 }, as: UTF8.self)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: ":"): true
        default: isBare(byte)
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private mutating func quotedValue(_ quote: UInt8) {
        let begins = Self.beginsValue(bytes[..<at])
        guard bytes[at...].starts(with: [quote, quote, quote]) else {
            _ = quote == UInt8(ascii: "\"") ? basicString(begins) : literalString(begins)
            return
        }
        let started = line
        at += 3
        while let byte = peek() {
            if byte == quote, bytes[at...].starts(with: [quote, quote, quote]) {
                at += 3
                // Up to two more quotes belong to the text.
                for _ in 0..<2 where peek() == quote { at += 1 }
                return
            }
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                checkEscape()
                at += 1
                if at >= bytes.count { break }
            }
            if bytes[at] == UInt8(ascii: "\n") { line += 1 }
            at += 1
        }
        if begins, obstacle == nil {
            obstacle = Obstacle(line: started, message: Self.unclosed)
        }
    }

    /// The parser takes the rest of the line for the string and complains of the line's end, which helps nobody to find the quote.
    private static let unclosed = "not TOML: the string is not closed"

    /// Whether a string may begin after these bytes. A quote anywhere else is a mistake of another kind.
    private static func beginsValue(_ before: ArraySlice<UInt8>) -> Bool {
        let last = before.last { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        return last.map { "=[{,.\n".utf8.contains($0) } ?? true
    }

    /// A string in double quotes, its escapes resolved; ends at the line's end if it is not closed, which is refused where
    /// the string was in its place.
    private mutating func basicString(_ isInPlace: Bool = true) -> String {
        at += 1
        var out: [UInt8] = []
        while let byte = peek(), byte != UInt8(ascii: "\n") {
            at += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: out, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                continue
            }
            at -= 1
            checkEscape()
            at += 1
            appendEscape(to: &out)
        }
        if isInPlace { refuse(Self.unclosed) }
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func literalString(_ isInPlace: Bool = true) -> String {
        at += 1
        let start = at
        while let byte = peek(), byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "'") { at += 1 }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if peek() == UInt8(ascii: "'") {
            at += 1
        } else if isInPlace {
            refuse(Self.unclosed)
        }
        return text
    }

    /// Resolves the escape whose letter is at `at`.
    private mutating func appendEscape(to out: inout [UInt8]) {
        guard let letter = peek(), letter != UInt8(ascii: "\n") else { return }
        at += 1
        switch letter {
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            let digits = letter == UInt8(ascii: "u") ? 4 : 8
            let end = min(bytes.count, at + digits)
            let text = String(decoding: bytes[at..<end], as: UTF8.self)
            guard let code = UInt32(text, radix: 16), let scalar = Unicode.Scalar(code) else {
                return
            }
            at = end
            out.append(contentsOf: String(scalar).utf8)
        default: out.append(letter)
        }
    }

    /// Refuses an escaped NUL, with the backslash at `at`: the parser's C interface would cut the text there.
    private mutating func checkEscape() {
        let short = Array("\\u0000".utf8)
        let long = Array("\\U00000000".utf8)
        if bytes[at...].starts(with: short) || bytes[at...].starts(with: long) {
            refuse("an escaped NUL in a string")
        }
    }

    // MARK: Bytes

    private func peek() -> UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = peek(), byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { at += 1 }
    }

    private mutating func skipToNextLine() {
        while let byte = peek() {
            at += 1
            if byte == UInt8(ascii: "\n") {
                line += 1
                return
            }
        }
    }

    private mutating func refuse(_ message: String) {
        if obstacle == nil { obstacle = Obstacle(line: line, message: message) }
    }
}
