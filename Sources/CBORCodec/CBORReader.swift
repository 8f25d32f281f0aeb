/// Where and why bytes are not the CBOR that is accepted.
package struct CBORSyntaxError: Error, Equatable, CustomStringConvertible {
    /// Offset of the offending value, counted from 0.
    package let offset: Int
    /// What was wrong, as a clause: "want a shorter head".
    package let problem: String

    package var description: String { "\(problem) at byte \(offset)" }
}

/// A strict reader: it takes nothing but core deterministic encoding (RFC 8949, section 4.2.1), so that one value has one form, and
/// what was authenticated is what is understood.
///
/// It refuses heads that are longer than need be, lengths that are not told beforehand, keys that are no integers, come twice or out of
/// order, tags, floating point, ill-formed UTF-8, integers beyond 64 bits with sign, and nesting deeper than ``maximumDepth``.
package struct CBORReader {
    /// Deepest nesting of arrays and maps that is accepted.
    package static let maximumDepth = 8

    private let bytes: ArraySlice<UInt8>
    private let start: Int
    private var index: Int

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        start = bytes.startIndex
        index = bytes.startIndex
    }

    /// Reads one value and nothing after it.
    package static func parse(_ bytes: [UInt8]) throws(CBORSyntaxError) -> CBOR {
        var reader = CBORReader(bytes[...])
        let value = try reader.value(depth: 0)
        guard reader.index == bytes.endIndex else {
            throw reader.error(at: reader.index, "want the end")
        }
        return value
    }

    /// How long the byte string is whose beginning is given, and how long its head: what a receiver waits for.
    ///
    /// Nil while the head is not whole.
    package static func byteString(
        at beginning: ArraySlice<UInt8>
    ) throws(CBORSyntaxError) -> (head: Int, content: Int)? {
        guard let first = beginning.first else { return nil }
        var reader = CBORReader(beginning)
        guard first >> 5 == MajorType.bytes.rawValue else {
            throw reader.error(at: reader.start, "want a byte string")
        }
        let additional = Int(first & 31)
        let size = 24...27 ~= additional ? 1 << (additional - 24) : 0
        guard beginning.count > size || additional > 27 else { return nil }
        let (_, argument) = try reader.head()
        guard argument <= UInt64(Int32.max) else {
            throw reader.error(at: reader.start, "want a shorter byte string")
        }
        return (reader.index - reader.start, Int(argument))
    }

    private mutating func value(depth: Int) throws(CBORSyntaxError) -> CBOR {
        let begin = index
        guard depth <= Self.maximumDepth else {
            throw error(at: begin, "nested deeper than \(Self.maximumDepth)")
        }
        let (type, argument) = try head()
        switch type {
        case .unsigned, .negative:
            guard argument <= UInt64(Int64.max) else {
                throw error(at: begin, "want an integer of 64 bits")
            }
            return .int(type == .unsigned ? Int64(argument) : ~Int64(argument))
        case .bytes: return .bytes(Array(try take(argument, begin)))
        case .text:
            guard let text = String(validating: try take(argument, begin), as: UTF8.self) else {
                throw error(at: begin, "want UTF-8")
            }
            return .text(text)
        case .array:
            return .array(try array(of: argument, begin, depth))
        case .map: return .map(try map(of: argument, begin, depth))
        case .tag: throw error(at: begin, "want no tag")
        case .simple:
            switch argument {
            case 20, 21: return .bool(argument == 21)
            case 22: return .null
            default: throw error(at: begin, "want false, true or null")
            }
        }
    }

    private mutating func array(
        of count: UInt64, _ begin: Int, _ depth: Int
    ) throws(CBORSyntaxError) -> [CBOR] {
        // Each of them takes a byte at least: a count alone reserves nothing.
        guard count <= UInt64(bytes.endIndex - index) else {
            throw error(at: begin, "want \(count) values, it ends before")
        }
        var values: [CBOR] = []
        for _ in 0..<count { values.append(try value(depth: depth + 1)) }
        return values
    }

    private mutating func map(
        of count: UInt64, _ begin: Int, _ depth: Int
    ) throws(CBORSyntaxError) -> [Int64: CBOR] {
        guard count <= UInt64(bytes.endIndex - index) / 2 else {
            throw error(at: begin, "want \(count) pairs, it ends before")
        }
        var values: [Int64: CBOR] = [:]
        var last: Int64?
        for _ in 0..<count {
            let place = index
            guard case .int(let key) = try value(depth: depth + 1) else {
                throw error(at: place, "want a key that is an integer")
            }
            if let last, !CBOR.isBefore(last, key) {
                throw error(at: place, "want each key once, in order")
            }
            last = key
            values[key] = try value(depth: depth + 1)
        }
        return values
    }

    private mutating func head() throws(CBORSyntaxError) -> (type: MajorType, argument: UInt64) {
        let begin = index
        guard let first = take(1)?.first, let type = MajorType(rawValue: first >> 5) else {
            throw error(at: begin, "want a value, it ends here")
        }
        let additional = first & 31
        if additional < 24 { return (type, UInt64(additional)) }
        guard additional <= 27, type != .simple else {
            let what =
                type == .simple
                ? "want false, true or null" : "want a length that is told beforehand"
            throw error(at: begin, what)
        }
        let size = 1 << Int(additional - 24)
        guard let tail = take(size) else { throw error(at: begin, "want a whole head") }
        let argument = tail.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let least: UInt64 = size == 1 ? 24 : 1 << UInt64(4 * size)
        guard argument >= least else { throw error(at: begin, "want a shorter head") }
        return (type, argument)
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= bytes.endIndex - index else { return nil }
        defer { index += count }
        return bytes[index..<index + count]
    }

    private mutating func take(
        _ count: UInt64, _ begin: Int
    ) throws(CBORSyntaxError) -> ArraySlice<UInt8> {
        guard count <= UInt64(Int32.max), let taken = take(Int(count)) else {
            throw error(at: begin, "want \(count) bytes, it ends before")
        }
        return taken
    }

    private func error(at place: Int, _ problem: String) -> CBORSyntaxError {
        CBORSyntaxError(offset: place - start, problem: problem)
    }
}
