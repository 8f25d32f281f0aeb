package import BLERadio
import CBORCodec
package import TowerLink

/// A tower that was heard: what its advertisement says (docs/tower-link.md).
package struct TowerSighting: Sendable, Equatable {
    /// Reserved for whoever has no number of a company of his own (Bluetooth Assigned Numbers).
    private static let company: UInt16 = 0xFFFF
    /// The version of the link that is spoken here.
    private static let version: UInt8 = 1

    package let address: BLEAddress
    package let id: TowerID
    package let name: String
    package let firmware: String
    package let signal: Int?

    /// Nil where it is none of a tower, or does not tell its number.
    package init?(_ heard: Heard) {
        let told = heard.advertisement
        guard let (company, data) = told.manufacturer, company == Self.company, data.count >= 12,
            data[0] == Self.version, let id = TowerID(Array(data[1..<9])),
            told.services.contains(.towerService)
        else { return nil }
        address = heard.address
        self.id = id
        name = told.name ?? ""
        firmware = data[9..<12].map(String.init).joined(separator: ".")
        signal = heard.signal
    }

    /// The tower's number in what can be read of it.
    static func id(inInfo value: [UInt8], _ dialect: Dialect) -> TowerID? {
        guard let map = try? CBORReader.parse(value).mapValue else { return nil }
        return map[dialect.number(of: .towerID)]?.bytesValue.flatMap { TowerID($0) }
    }
}
