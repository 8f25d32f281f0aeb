/// The address of a Bluetooth device, and which kind it is: both belong to it.
package struct BLEAddress: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
        case publicAddress = "public"
        case random
    }

    /// Most significant first, as people write them.
    package let bytes: [UInt8]
    package let kind: Kind

    /// Nil where these are not six bytes.
    package init?(_ bytes: [UInt8], _ kind: Kind) {
        guard bytes.count == 6 else { return nil }
        (self.bytes, self.kind) = (bytes, kind)
    }

    /// Nil where the text is not six pairs of hexadecimal digits with colons.
    package init?(_ text: String, _ kind: Kind) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { part in
            part.utf8.count == 2 && part.allSatisfy(\.isHexDigit) ? UInt8(part, radix: 16) : nil
        }
        guard parts.count == bytes.count else { return nil }
        self.init(bytes, kind)
    }

    package var description: String {
        bytes.map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.count == 1 ? "0\(digits)" : digits
        }.joined(separator: ":")
    }
}

/// A 128-bit UUID, least significant byte first, as it goes over the air.
package struct UUID128: Hashable, Sendable {
    package let bytes: [UInt8]

    /// Nil where these are not sixteen bytes.
    package init?(overAir bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// A UUID of the family of the Nordic UART service, which differ in their first four digits' last.
    private init(nordic number: UInt8) {
        bytes = [
            0x9E, 0xCA, 0xDC, 0x24, 0x0E, 0xE5, 0xA9, 0xE0, 0x93, 0xF3, 0xA3, 0xB5, number, 0x00,
            0x40, 0x6E,
        ]
    }

    // 6E40000n-B5A3-F393-E0A9-E50E24DCCA9E: Nordic Semiconductor's UART service, which tower links use (docs/tower-link.md).

    package static let towerService = UUID128(nordic: 1)
    /// The client writes to it.
    package static let towerWrite = UUID128(nordic: 2)
    /// The tower notifies on it.
    package static let towerNotify = UUID128(nordic: 3)
    /// It tells which tower this is.
    package static let towerInfo = UUID128(nordic: 4)
}
