import BusKit
import LockerKit

/// Boards whose frames begin with the letters WKLY: `57 4B 4C 59 LEN ADDR CMD … XOR`, LEN being the length of the whole frame.
///
/// Source: working code and captured frames of several kiosk makers. Orders that open several locks (0x80, 0x86, 0x87) or keep a
/// channel energised until it is told otherwise (0x88) exist on these boards and not here.
package struct WKLYCodec: Codec {
    package static let addresses = 0...31
    package static let channels = 1...64
    package static let canReadAll = true

    private static let start = Array("WKLY".utf8)
    private static let unlock: UInt8 = 0x82
    private static let statusOfOne: UInt8 = 0x83
    private static let statusOfAll: UInt8 = 0x84
    private static let succeeded: UInt8 = 0x00
    /// Start, length, address, command and checksum.
    private static let frameLength = 8
    private static let (open, closed): (UInt8, UInt8) = (0, 1)

    package let address: UInt8

    package init(address: UInt8) { self.address = address }

    package func request(_ question: Question) -> [UInt8] {
        let (command, data): (UInt8, [UInt8]) =
            switch question {
            case .open(let channel): (Self.unlock, [UInt8(clamping: channel)])
            case .one(let channel): (Self.statusOfOne, [UInt8(clamping: channel)])
            case .all: (Self.statusOfAll, [])
            }
        let length = UInt8(Self.frameLength + data.count)
        let frame = Self.start + [length, address, command] + data
        return frame + [xor(frame)]
    }

    package func find(_ question: Question, in bytes: [UInt8]) -> Finding {
        first(in: bytes) { bytes in
            switch question {
            case .open(let channel):
                guard let data = content(Self.unlock, bytes), data.count == 3,
                    Int(data[1]) == channel
                else { return .nothing }
                return data[0] == Self.succeeded ? .answer(.taken) : .answer(refusal(data[0]))
            case .one(let channel):
                guard let data = content(Self.statusOfOne, bytes), data.count == 3,
                    data[0] == Self.succeeded, Int(data[1]) == channel, data[2] <= Self.closed
                else { return .nothing }
                return .answer(.levels([channel: data[2] == Self.closed]))
            case .all:
                guard let data = content(Self.statusOfAll, bytes), data.count >= 2,
                    data[0] == Self.succeeded, Int(data[1]) == data.count - 2
                else { return .nothing }
                let doors = data.dropFirst(2).enumerated().filter { $0.element <= Self.closed }
                return .answer(
                    .levels(
                        Dictionary(
                            uniqueKeysWithValues: doors.map {
                                ($0.offset + 1, $0.element == Self.closed)
                            })))
            }
        }
    }

    /// What a whole frame of this board carries after `command`; nil where it is none.
    private func content(_ command: UInt8, _ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        let head = Array(bytes.prefix(7))
        guard head.count == 7, Array(head[..<4]) == Self.start, head[5] == address,
            head[6] == command, head[4] >= Self.frameLength
        else { return nil }
        let frame = Array(bytes.prefix(Int(head[4])))
        guard frame.count == Int(head[4]), frame.last == xor(frame.dropLast()) else { return nil }
        return Array(frame[7..<frame.count - 1])
    }

    /// That it failed does not say that nothing was energised.
    private func refusal(_ status: UInt8) -> Answer {
        .refused(
            Refusal(
                number: status, words: "status \(status), failed", code: .refused,
                provesIdle: false))
    }
}
