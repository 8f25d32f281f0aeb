/// Strings and numbers.
extension JSONReader {
    /// A string with its escapes resolved.
    package mutating func string() throws(JSONSyntaxError) -> String {
        let (range, escaped) = try rawString()
        let raw = UnsafeBufferPointer(rebasing: bytes[range])
        if !escaped {
            guard let text = String(validating: raw, as: UTF8.self) else {
                throw JSONSyntaxError(offset: range.lowerBound, problem: "ill-formed UTF-8")
            }
            return text
        }
        var out: [UInt8] = []
        out.reserveCapacity(raw.count)
        var index = 0
        while index < raw.count {
            guard raw[index] == UInt8(ascii: "\\") else {
                out.append(raw[index])
                index += 1
                continue
            }
            index = try unescape(raw, at: index, base: range.lowerBound, into: &out)
        }
        guard let text = String(validating: out, as: UTF8.self) else {
            throw JSONSyntaxError(offset: range.lowerBound, problem: "ill-formed UTF-8")
        }
        return text
    }

    /// Past the escape that starts at `index`, its form checked.
    func escapeEnd(_ index: Int) throws(JSONSyntaxError) -> Int {
        guard index + 1 < bytes.count else {
            throw JSONSyntaxError(offset: index, problem: "an escape without its end")
        }
        switch bytes[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index + 2
        case UInt8(ascii: "u"):
            guard index + 6 <= bytes.count,
                bytes[(index + 2)..<(index + 6)].allSatisfy({ Self.hexDigit($0) != nil })
            else { throw JSONSyntaxError(offset: index, problem: "want four hex digits after \\u") }
            return index + 6
        default:
            throw JSONSyntaxError(offset: index, problem: "no such escape")
        }
    }

    private func unescape(
        _ raw: UnsafeBufferPointer<UInt8>, at index: Int, base: Int, into out: inout [UInt8]
    ) throws(JSONSyntaxError) -> Int {
        switch raw[index + 1] {
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            let first = Self.hexWord(raw, at: index + 2)
            if let scalar = Unicode.Scalar(first) {
                out.append(contentsOf: UTF8.encode(scalar) ?? .init())
                return index + 6
            }
            let lone = JSONSyntaxError(offset: base + index, problem: "a lone surrogate")
            guard (0xD800..<0xDC00).contains(first), index + 12 <= raw.count,
                raw[index + 6] == UInt8(ascii: "\\"), raw[index + 7] == UInt8(ascii: "u")
            else { throw lone }
            let second = Self.hexWord(raw, at: index + 8)
            guard (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(
                    0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF))
            else { throw lone }
            out.append(contentsOf: UTF8.encode(scalar) ?? .init())
            return index + 12
        default: out.append(raw[index + 1])
        }
        return index + 2
    }

    private static func hexWord(_ raw: UnsafeBufferPointer<UInt8>, at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 << 4 | UInt32(hexDigit(raw[index + $1]) ?? 0) }
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    mutating func number() throws(JSONSyntaxError) -> JSON {
        let (range, isInteger) = try numberRange()
        let text = String(decoding: bytes[range], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONSyntaxError(offset: range.lowerBound, problem: "a number out of range")
        }
        return .double(value)
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    mutating func numberRange() throws(JSONSyntaxError) -> (Range<Int>, isInteger: Bool) {
        let start = offset
        var isInteger = true
        if at(UInt8(ascii: "-")) { offset += 1 }
        if at(UInt8(ascii: "0")) {
            offset += 1
        } else {
            try digits("want a value")
        }
        if at(UInt8(ascii: ".")) {
            isInteger = false
            offset += 1
            try digits("want a digit")
        }
        if at(UInt8(ascii: "e")) || at(UInt8(ascii: "E")) {
            isInteger = false
            offset += 1
            if at(UInt8(ascii: "+")) || at(UInt8(ascii: "-")) { offset += 1 }
            try digits("want a digit")
        }
        return (start..<offset, isInteger)
    }

    private func at(_ byte: UInt8) -> Bool { offset < bytes.count && bytes[offset] == byte }

    private mutating func digits(_ problem: String) throws(JSONSyntaxError) {
        let start = offset
        while offset < bytes.count, (0x30...0x39).contains(bytes[offset]) { offset += 1 }
        if offset == start { throw error(problem) }
    }
}
