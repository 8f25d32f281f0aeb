/// A tower's number: eight bytes, written as sixteen hexadecimal digits.
package struct TowerID: Hashable, Sendable, CustomStringConvertible {
    package static let length = 8

    package let bytes: [UInt8]

    /// Nil where these are not ``length`` bytes.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = bytes
    }

    /// Nil where the text is anything but sixteen hexadecimal digits.
    package init?(_ text: String) {
        guard let found = TowerLink.bytes(fromHex: text) else { return nil }
        self.init(found)
    }

    package var description: String { hex(bytes) }
}

/// Lower-case digits, two a byte.
package func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}

/// Nil where the text is not an even number of hexadecimal digits.
package func bytes(fromHex text: String) -> [UInt8]? {
    let digits = text.utf8.map { byte -> UInt8? in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let high = digits[index], let low = digits[index + 1] else { return nil }
        bytes.append(high << 4 | low)
    }
    return bytes
}
