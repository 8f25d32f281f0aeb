/// What a device says of itself to everybody, as far as it concerns towers: pure bytes, after the Supplement to the Bluetooth Core
/// Specification, part A, 1.
package struct Advertisement: Equatable, Sendable {
    private static let mostServices = 16

    package private(set) var services: [UUID128] = []
    package private(set) var name: String?
    /// Company and what it says.
    package private(set) var manufacturer: (company: UInt16, data: [UInt8])?

    /// Reads what there is, up to the first entry that does not fit: whoever advertises may be anybody.
    package init(_ bytes: [UInt8]) {
        var place = 0
        while place < bytes.count, case let length = Int(bytes[place]), length > 0,
            place + length < bytes.count
        {
            add(bytes[place + 1], Array(bytes[place + 2..<place + 1 + length]))
            place += 1 + length
        }
    }

    private mutating func add(_ kind: UInt8, _ value: [UInt8]) {
        switch kind {
        case 0x06, 0x07:
            for start in stride(from: 0, to: value.count, by: 16) {
                // No device tells as many, but anybody may advertise anything, again and again.
                guard services.count < Self.mostServices else { return }
                if let uuid = UUID128(overAir: Array(value[start..<min(start + 16, value.count)])) {
                    services.append(uuid)
                }
            }
        case 0x08, 0x09:
            name = String(decoding: value, as: UTF8.self).filter { $0.isASCII && $0 >= " " }
        case 0xFF where value.count >= 2:
            manufacturer = (number(value, at: 0), Array(value.dropFirst(2)))
        default: break
        }
    }

    /// With what another one of the same device told; scan responses come by themselves.
    package func merged(with other: Advertisement) -> Advertisement {
        var all = self
        let more = other.services.filter { !services.contains($0) }
        all.services += more.prefix(max(0, Self.mostServices - services.count))
        all.name = other.name ?? name
        all.manufacturer = other.manufacturer ?? manufacturer
        return all
    }

    package static func == (one: Advertisement, other: Advertisement) -> Bool {
        one.services == other.services && one.name == other.name
            && one.manufacturer?.company == other.manufacturer?.company
            && one.manufacturer?.data == other.manufacturer?.data
    }
}

/// One report of a device that was heard.
package struct Heard: Equatable, Sendable {
    package let address: BLEAddress
    /// In dBm; nil where the adapter does not know.
    package let signal: Int?
    package let advertisement: Advertisement

    package init(address: BLEAddress, signal: Int?, advertisement: Advertisement) {
        self.address = address
        self.signal = signal
        self.advertisement = advertisement
    }
}
