/// KERONG KR-CU16 and boards like it: `02 ADDR CMD 03 SUM`, 16 locks.
///
/// The high half of ADDR is the board, the low half the lock, both from 0. Source: working code of installers who have the
/// board; its checksums are sums, though some published tables of frames have other ones.
package struct KerongCodec: Codec {
    package static let addresses = 0...15
    package static let channels = 1...16
    package static let canReadAll = true

    private static let start: UInt8 = 0x02
    private static let end: UInt8 = 0x03
    private static let status: UInt8 = 0x30
    private static let unlock: UInt8 = 0x31
    /// The state of a board's locks: sent when it is asked for, and after an order.
    private static let state: UInt8 = 0x35
    /// `02 ADDR 35`, two bytes of locks, two of infrared sensors, `03 SUM`.
    private static let stateLength = 9

    package let address: UInt8

    package init(address: UInt8) { self.address = address }

    package func request(_ question: Question) -> [UInt8] {
        let (lock, command) =
            switch question {
            case .open(let channel): (channel - 1, Self.unlock)
            case .one(let channel): (channel - 1, Self.status)
            case .all: (0, Self.status)
            }
        let frame = [Self.start, address << 4 | UInt8(lock & 0x0F), command, Self.end]
        return frame + [sum(frame)]
    }

    package func find(_ question: Question, in bytes: [UInt8]) -> Finding {
        first(in: bytes) { bytes in
            let frame = Array(bytes.prefix(Self.stateLength))
            guard frame.count == Self.stateLength, frame[0] == Self.start,
                frame[1] >> 4 == address, frame[2] == Self.state, frame[7] == Self.end,
                frame[8] == sum(frame.dropLast())
            else { return .nothing }
            if case .open(let channel) = question {
                // The board says which lock it was told to open.
                return frame[1] & 0x0F == UInt8(channel - 1) ? .answer(.taken) : .nothing
            }
            let locks = levels(in: frame[3], from: 1) + levels(in: frame[4], from: 9)
            return .answer(.levels(Dictionary(uniqueKeysWithValues: locks)))
        }
    }
}
