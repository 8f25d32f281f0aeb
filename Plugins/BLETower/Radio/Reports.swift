/// Reports of devices that were heard, out of the events of the kernel's two interfaces: pure bytes.
package enum Reports {
    // MARK: The management interface (BlueZ, doc/mgmt-api.txt)

    static let commandComplete: UInt16 = 0x0001
    static let commandStatus: UInt16 = 0x0002
    static let deviceFound: UInt16 = 0x0012
    static let discovering: UInt16 = 0x0013

    /// A command with its parameters for one adapter.
    package static func command(_ code: UInt16, _ adapter: UInt16, _ parameters: [UInt8] = [])
        -> [UInt8]
    {
        pair(code) + pair(adapter) + pair(UInt16(parameters.count)) + parameters
    }

    /// An event: its code, the adapter, and what it says. Nil where it is cut off.
    package static func event(_ bytes: [UInt8]) -> (code: UInt16, adapter: UInt16, body: [UInt8])? {
        guard bytes.count >= 6, case let length = Int(number(bytes, at: 4)),
            bytes.count >= 6 + length
        else { return nil }
        return (number(bytes, at: 0), number(bytes, at: 2), Array(bytes[6..<6 + length]))
    }

    /// Of a `Device Found` event's body; nil where it is none of an LE device.
    package static func found(_ body: [UInt8]) -> Heard? {
        // Address (6), its type, signal, flags (4), length of the data (2), data.
        guard body.count >= 14, case let length = Int(number(body, at: 12)),
            body.count >= 14 + length, let kind = addressKind(management: body[6]),
            let address = BLEAddress(body[0..<6].reversed(), kind)
        else { return nil }
        return Heard(
            address: address, signal: signal(body[7]),
            advertisement: Advertisement(Array(body[14..<14 + length])))
    }

    /// 0 is BR/EDR.
    private static func addressKind(management byte: UInt8) -> BLEAddress.Kind? {
        switch byte {
        case 1: .publicAddress
        case 2: .random
        default: nil
        }
    }

    // MARK: The raw interface (Bluetooth Core 5.4, volume 4, part E, 7.7.65)

    /// The packet with a command of the LE controller group.
    package static func leCommand(_ code: UInt16, _ parameters: [UInt8]) -> [UInt8] {
        [0x01] + pair(0x08 << 10 | code) + [UInt8(parameters.count)] + parameters
    }

    /// The status of a command that has ended; nil where the packet tells of something else.
    package static func status(_ packet: [UInt8], of code: UInt16) -> UInt8? {
        guard packet.count >= 7, packet[0] == 0x04 else { return nil }
        let opcode = 0x08 << 10 | code
        switch packet[1] {
        case 0x0E: return number(packet, at: 4) == opcode ? packet[6] : nil
        case 0x0F: return number(packet, at: 5) == opcode ? packet[3] : nil
        default: return nil
        }
    }

    /// Of an advertising report, legacy or extended; what is cut off is left out.
    package static func reports(_ packet: [UInt8]) -> [Heard] {
        guard packet.count >= 5, packet[0] == 0x04, packet[1] == 0x3E else { return [] }
        switch packet[3] {
        case 0x02: return legacy(Array(packet[5...]), count: Int(packet[4]))
        case 0x0D: return extended(Array(packet[5...]), count: Int(packet[4]))
        default: return []
        }
    }

    /// Kind, address type, address (6), length, data, signal.
    private static func legacy(_ bytes: [UInt8], count: Int) -> [Heard] {
        var found: [Heard] = []
        var place = 0
        for _ in 0..<count {
            guard bytes.count >= place + 9, case let length = Int(bytes[place + 8]),
                bytes.count >= place + 10 + length
            else { break }
            let data = Array(bytes[place + 9..<place + 9 + length])
            found += heard(
                bytes[place + 1], bytes[place + 2..<place + 8], bytes[place + 9 + length], data)
            place += 10 + length
        }
        return found
    }

    /// Kind (2), address type, address (6), primary and secondary PHY, set, power, signal, interval (2), direct type and address (7),
    /// length, data.
    private static func extended(_ bytes: [UInt8], count: Int) -> [Heard] {
        var found: [Heard] = []
        var place = 0
        for _ in 0..<count {
            guard bytes.count >= place + 24, case let length = Int(bytes[place + 23]),
                bytes.count >= place + 24 + length
            else { break }
            let data = Array(bytes[place + 24..<place + 24 + length])
            found += heard(bytes[place + 2], bytes[place + 3..<place + 9], bytes[place + 13], data)
            place += 24 + length
        }
        return found
    }

    private static func heard(
        _ type: UInt8, _ address: ArraySlice<UInt8>, _ strength: UInt8, _ data: [UInt8]
    ) -> [Heard] {
        // 0 public, 1 random; 2 and 3 the same where the controller has resolved it.
        guard type < 4,
            let address = BLEAddress(address.reversed(), type & 1 == 0 ? .publicAddress : .random)
        else { return [] }
        return [
            Heard(address: address, signal: signal(strength), advertisement: Advertisement(data))
        ]
    }

    /// 127 is "not known".
    private static func signal(_ byte: UInt8) -> Int? {
        byte == 127 ? nil : Int(Int8(bitPattern: byte))
    }
}
