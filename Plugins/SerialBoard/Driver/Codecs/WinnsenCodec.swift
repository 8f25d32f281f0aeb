import BusKit
import LockerKit

/// Winnsen locker boards: `90 LEN FUNC STATION LOCK … 03`, no checksum.
///
/// Source: working code of a kiosk maker. The answer to an order has lock and status in that order, the one to a question the
/// other way round.
package struct WinnsenCodec: Codec {
    package static let addresses = 0...15
    package static let channels = 1...16
    package static let canReadAll = false

    private static let start: UInt8 = 0x90
    private static let end: UInt8 = 0x03
    private static let requestLength: UInt8 = 6
    private static let replyLength: UInt8 = 7
    private static let unlock: UInt8 = 0x05
    private static let status: UInt8 = 0x12
    /// Set in the function of an answer.
    private static let reply: UInt8 = 0x80
    private static let (failed, done, coolingDown): (UInt8, UInt8, UInt8) = (0, 1, 2)

    package let address: UInt8

    package init(address: UInt8) { self.address = address }

    package func request(_ question: Question) -> [UInt8] {
        let (channel, function) =
            switch question {
            case .open(let channel): (channel, Self.unlock)
            case .one(let channel): (channel, Self.status)
            case .all: (1, Self.status)
            }
        return [
            Self.start, Self.requestLength, function, address, UInt8(clamping: channel), Self.end,
        ]
    }

    package func find(_ question: Question, in bytes: [UInt8]) -> Finding {
        first(in: bytes) { bytes in
            let frame = Array(bytes.prefix(Int(Self.replyLength)))
            guard frame.count == Int(Self.replyLength), frame[0] == Self.start,
                frame[1] == Self.replyLength, frame[3] == address, frame[6] == Self.end
            else { return .nothing }
            switch question {
            case .open(let channel):
                guard frame[2] == Self.unlock | Self.reply, Int(frame[4]) == channel else {
                    return .nothing
                }
                return verdict(frame[5])
            case .one(let channel):
                guard frame[2] == Self.status | Self.reply, Int(frame[5]) == channel,
                    frame[4] <= Self.done
                else { return .nothing }
                return .answer(.levels([channel: frame[4] == Self.done]))
            case .all: return .nothing
            }
        }
    }

    private func verdict(_ status: UInt8) -> Finding {
        switch status {
        case Self.done: .answer(.taken)
        case Self.coolingDown:
            .answer(
                .refused(
                    Refusal(
                        number: status, words: "status 2, the coil has to cool down",
                        code: .dutyLimit, provesIdle: true)))
        // The board may have fired in vain.
        case Self.failed:
            .answer(
                .refused(
                    Refusal(
                        number: status, words: "status 0, failed", code: .refused,
                        provesIdle: false)))
        default: .nothing
        }
    }
}
