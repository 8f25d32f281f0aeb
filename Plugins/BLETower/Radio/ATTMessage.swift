/// The attribute protocol's messages that a client needs: pure bytes, after Bluetooth Core 5.4, volume 3, part F, 3.4.
package enum ATTRequest: Equatable, Sendable {
    case exchangeMTU(UInt16)
    case findInformation(ClosedRange<UInt16>)
    /// Primary services with that UUID.
    case findService(UUID128, in: ClosedRange<UInt16>)
    /// Characteristics of a service.
    case readCharacteristics(in: ClosedRange<UInt16>)
    case read(UInt16)
    case readBlob(UInt16, offset: UInt16)
    case write(UInt16, [UInt8])

    /// The first byte of an answer to it.
    package var answerCode: UInt8 { code + 1 }

    private var code: UInt8 {
        switch self {
        case .exchangeMTU: 0x02
        case .findInformation: 0x04
        case .findService: 0x06
        case .readCharacteristics: 0x08
        case .read: 0x0A
        case .readBlob: 0x0C
        case .write: 0x12
        }
    }

    package var bytes: [UInt8] {
        switch self {
        case .exchangeMTU(let size): [code] + pair(size)
        case .findInformation(let range): [code] + pair(range.lowerBound) + pair(range.upperBound)
        case .findService(let uuid, let range):
            [code] + pair(range.lowerBound) + pair(range.upperBound)
                + pair(ATT.primaryService) + uuid.bytes
        case .readCharacteristics(let range):
            [code] + pair(range.lowerBound) + pair(range.upperBound) + pair(ATT.characteristic)
        case .read(let handle): [code] + pair(handle)
        case .readBlob(let handle, let offset): [code] + pair(handle) + pair(offset)
        case .write(let handle, let value): [code] + pair(handle) + value
        }
    }

}

package enum ATT {
    static let primaryService: UInt16 = 0x2800
    static let characteristic: UInt16 = 0x2803
    static let clientConfiguration: UInt16 = 0x2902

    static let errorCode: UInt8 = 0x01
    static let notification: UInt8 = 0x1B
    static let indication: UInt8 = 0x1D
    static let confirmation: UInt8 = 0x1E
    static let writeCommand: UInt8 = 0x52

    /// What every device can take at once before anything else was agreed on.
    package static let smallestMTU = 23
    /// What this client takes: the longest payload of a link layer packet is 251, less four of L2CAP's.
    package static let wantedMTU = 247
    /// The longest value of an attribute.
    package static let longestValue = 512

    /// Of an order that nobody acknowledges.
    package static func write(_ value: [UInt8], to handle: UInt16) -> [UInt8] {
        [writeCommand] + pair(handle) + value
    }
}

/// What came.
package enum ATTIncoming: Equatable, Sendable {
    /// An answer, by its first byte, with the rest.
    case answer(UInt8, [UInt8])
    /// The request with that code is refused.
    case error(request: UInt8, handle: UInt16, code: UInt8)
    case notification(UInt16, [UInt8])
    case indication(UInt16, [UInt8])
    /// A request of the other side, which is a client, too, for all it knows.
    case request(UInt8, [UInt8])

    /// Nil where it is none of the protocol's, or too short for what it claims to be.
    package init?(_ bytes: [UInt8]) {
        guard let code = bytes.first else { return nil }
        let rest = Array(bytes.dropFirst())
        switch code {
        case ATT.errorCode:
            guard rest.count >= 4 else { return nil }
            self = .error(request: rest[0], handle: number(rest, at: 1), code: rest[3])
        case ATT.notification, ATT.indication:
            guard rest.count >= 2 else { return nil }
            let (handle, value) = (number(rest, at: 0), Array(rest.dropFirst(2)))
            self =
                code == ATT.notification ? .notification(handle, value) : .indication(handle, value)
        case 0x03, 0x05, 0x07, 0x09, 0x0B, 0x0D, 0x11, 0x13: self = .answer(code, rest)
        // Requests have even codes, commands bit 6, which asks for no answer.
        case let code where code & 0x41 == 0: self = .request(code, rest)
        default: return nil
        }
    }
}

/// A characteristic as a service lists it.
package struct Characteristic: Equatable, Sendable {
    package let declaration: UInt16
    package let value: UInt16
    package let properties: UInt8
    /// Nil where it is a short one, which none of a tower's is.
    package let uuid: UUID128?

    package static let canRead: UInt8 = 0x02
    package static let canWriteWithoutResponse: UInt8 = 0x04
    package static let canNotify: UInt8 = 0x10

    /// Those in an answer to ``ATTRequest/readCharacteristics(in:)``; nil where it is none.
    package static func list(_ answer: [UInt8]) -> [Characteristic]? {
        guard let length = answer.first.map(Int.init), length == 7 || length == 21,
            (answer.count - 1).isMultiple(of: length), answer.count > 1
        else { return nil }
        return stride(from: 1, to: answer.count, by: length).map { start in
            Characteristic(
                declaration: number(answer, at: start), value: number(answer, at: start + 3),
                properties: answer[start + 2],
                uuid: UUID128(overAir: Array(answer[start + 5..<start + length])))
        }
    }
}

/// Least significant byte first, as everything in this protocol.
func pair(_ number: UInt16) -> [UInt8] { [UInt8(number & 0xFF), UInt8(number >> 8)] }

func number(_ bytes: [UInt8], at index: Int) -> UInt16 {
    UInt16(bytes[index]) | UInt16(bytes[index + 1]) << 8
}
