/// Where and why a text is not the JSON we accept.
package struct JSONSyntaxError: Error, Equatable, CustomStringConvertible {
    /// Offset of the offending byte, counted from 0.
    package let offset: Int
    /// What was wrong, as a clause: "want a value".
    package let problem: String

    package init(offset: Int, problem: String) {
        self.offset = offset
        self.problem = problem
    }

    package var description: String { "\(problem) at byte \(offset)" }
}

/// A strict JSON reader (RFC 8259) over bytes that somebody else owns.
///
/// It refuses what a door opener must not guess about: duplicate member names, lone surrogates, ill-formed UTF-8, and
/// nesting deeper than ``maximumDepth``. `skipValue` validates without allocating, so that a server can find the parts of
/// a request by their byte ranges.
package struct JSONReader {
    /// Deepest nesting of arrays and objects that is accepted.
    package static let maximumDepth = 32

    let bytes: UnsafeBufferPointer<UInt8>
    package internal(set) var offset: Int

    package init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        self.bytes = bytes.bindMemory(to: UInt8.self)
        self.offset = offset
    }

    // MARK: Whole values

    /// Reads one value and nothing after it but white space.
    package static func parse(_ bytes: UnsafeRawBufferPointer) throws(JSONSyntaxError) -> JSON {
        var reader = JSONReader(bytes)
        let value = try reader.value()
        try reader.end()
        return value
    }

    package static func parse(_ bytes: [UInt8]) throws(JSONSyntaxError) -> JSON {
        let outcome = bytes.withUnsafeBytes { raw in
            Result { () throws(JSONSyntaxError) in try parse(raw) }
        }
        return try outcome.get()
    }

    package static func parse(_ text: String) throws(JSONSyntaxError) -> JSON {
        try parse(Array(text.utf8))
    }

    package mutating func end() throws(JSONSyntaxError) {
        skipSpace()
        if offset < bytes.count { throw error("want the end of the text") }
    }

    package mutating func value(depth: Int = 0) throws(JSONSyntaxError) -> JSON {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .array(try array(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONObject {
        var members: [JSONObject.Member] = []
        var seen: Set<String> = []
        try begin(UInt8(ascii: "{"), depth: depth)
        guard try !closes(UInt8(ascii: "}")) else { return JSONObject() }
        repeat {
            let start = offset
            let key = try memberName()
            guard seen.insert(key).inserted else {
                throw JSONSyntaxError(offset: start, problem: "member \"\(key)\" stands twice")
            }
            members.append(JSONObject.Member(key: key, value: try value(depth: depth + 1)))
        } while try continues(UInt8(ascii: "}"))
        return JSONObject(members)
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> [JSON] {
        var values: [JSON] = []
        try begin(UInt8(ascii: "["), depth: depth)
        guard try !closes(UInt8(ascii: "]")) else { return [] }
        repeat { values.append(try value(depth: depth + 1)) } while try continues(UInt8(ascii: "]"))
        return values
    }

    // MARK: Piece by piece

    /// Goes past one value and returns the bytes it took, validated but not decoded.
    ///
    /// Duplicate member names inside it are not looked for; whoever decodes the range will find them.
    @discardableResult
    package mutating func skipValue(depth: Int = 0) throws(JSONSyntaxError) -> Range<Int> {
        let first = try peek()
        let start = offset
        switch first {
        case UInt8(ascii: "{"):
            try begin(UInt8(ascii: "{"), depth: depth)
            if try !closes(UInt8(ascii: "}")) {
                repeat {
                    try skipMemberName()
                    try skipValue(depth: depth + 1)
                } while try continues(UInt8(ascii: "}"))
            }
        case UInt8(ascii: "["):
            try begin(UInt8(ascii: "["), depth: depth)
            if try !closes(UInt8(ascii: "]")) {
                repeat { try skipValue(depth: depth + 1) } while try continues(UInt8(ascii: "]"))
            }
        case UInt8(ascii: "\""): _ = try rawString()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: _ = try numberRange()
        }
        return start..<offset
    }

    /// Enters an object: true when it has a member.
    package mutating func enterObject() throws(JSONSyntaxError) -> Bool {
        try begin(UInt8(ascii: "{"), depth: 0)
        return try !closes(UInt8(ascii: "}"))
    }

    /// Enters an array: true when it has an element.
    package mutating func enterArray() throws(JSONSyntaxError) -> Bool {
        try begin(UInt8(ascii: "["), depth: 0)
        return try !closes(UInt8(ascii: "]"))
    }

    /// After a member's value: true when another member follows, false past the closing brace.
    package mutating func nextMember() throws(JSONSyntaxError) -> Bool {
        try continues(UInt8(ascii: "}"))
    }

    /// After an element: true when another follows, false past the closing bracket.
    package mutating func nextElement() throws(JSONSyntaxError) -> Bool {
        try continues(UInt8(ascii: "]"))
    }

    /// The bytes between the quotes of a member name, past the colon.
    package mutating func skipMemberName() throws(JSONSyntaxError) {
        _ = try rawMemberName()
    }

    /// The bytes between the quotes of a member name as they stand, escapes not resolved.
    package mutating func rawMemberName() throws(JSONSyntaxError) -> Range<Int> {
        guard try peek() == UInt8(ascii: "\"") else { throw error("want a member name") }
        let name = try rawString()
        guard try peek() == UInt8(ascii: ":") else { throw error("want a colon") }
        offset += 1
        return name.range
    }

    /// The next byte that is not white space.
    package mutating func peek() throws(JSONSyntaxError) -> UInt8 {
        skipSpace()
        guard offset < bytes.count else { throw error("the text ends too early") }
        return bytes[offset]
    }

    /// The bytes between the quotes, and whether an escape stands among them.
    package mutating func rawString() throws(JSONSyntaxError) -> (range: Range<Int>, escaped: Bool)
    {
        let start = offset + 1
        var index = start
        var escaped = false
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                offset = index + 1
                return (start..<index, escaped)
            }
            if byte < 0x20 {
                offset = index
                throw error("a control character inside a string")
            }
            if byte == UInt8(ascii: "\\") {
                escaped = true
                index = try escapeEnd(index)
            } else {
                index += 1
            }
        }
        offset = bytes.count
        throw error("a string without its closing quote")
    }

    private mutating func memberName() throws(JSONSyntaxError) -> String {
        guard try peek() == UInt8(ascii: "\"") else { throw error("want a member name") }
        let name = try string()
        guard try peek() == UInt8(ascii: ":") else { throw error("want a colon") }
        offset += 1
        return name
    }

    private mutating func begin(_ bracket: UInt8, depth: Int) throws(JSONSyntaxError) {
        guard try peek() == bracket else {
            throw error("want \(Character(Unicode.Scalar(bracket)))")
        }
        guard depth < Self.maximumDepth else {
            throw error("nested deeper than \(Self.maximumDepth)")
        }
        offset += 1
    }

    private mutating func closes(_ bracket: UInt8) throws(JSONSyntaxError) -> Bool {
        guard try peek() == bracket else { return false }
        offset += 1
        return true
    }

    private mutating func continues(_ bracket: UInt8) throws(JSONSyntaxError) -> Bool {
        let byte = try peek()
        if byte == UInt8(ascii: ",") {
            offset += 1
            return true
        }
        if byte == bracket {
            offset += 1
            return false
        }
        throw error("want a comma or \(Character(Unicode.Scalar(bracket)))")
    }

    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return
            }
        }
    }

    private mutating func word(_ word: StaticString) throws(JSONSyntaxError) {
        let end = offset + word.utf8CodeUnitCount
        guard end <= bytes.count,
            memcmp(bytes.baseAddress.map { $0 + offset }, word) == true
        else { throw error("want a value") }
        offset = end
    }

    private func memcmp(_ at: UnsafePointer<UInt8>?, _ word: StaticString) -> Bool {
        guard let at else { return false }
        return (0..<word.utf8CodeUnitCount).allSatisfy { at[$0] == word.utf8Start[$0] }
    }

    func error(_ problem: String) -> JSONSyntaxError {
        JSONSyntaxError(offset: offset, problem: problem)
    }
}
